"""`backtest`: what rules would have done, replayed over what Prometheus said before."""
