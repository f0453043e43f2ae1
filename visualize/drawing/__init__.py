"""What plots share: style, layout, inputs and saving."""
