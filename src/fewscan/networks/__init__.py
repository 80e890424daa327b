"""Networks by name: U-Net, residual U-Net, V-Net, and any MONAI network."""
