"""Numbers of labelled scores, with bootstrap intervals over videos; points of curves; localisation of X-rays."""
