"""What the pictures share: style, layout, saving."""
