"""Registration: displacement fields and what is measured on them."""
