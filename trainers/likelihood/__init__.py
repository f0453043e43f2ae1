"""From rows to tokens to log-likelihoods; shared by training and evaluation."""
