"""The page as data, as text and as HTML: blocks, words for numbers, pictures inside it, and the template."""
