"""A town hall for Social Sandbox."""
