"""The dashboard: pages, server and the data behind them."""
