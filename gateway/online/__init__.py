"""``gateway check --online``: what a gateway will find where it is sent, and how to mend it."""
