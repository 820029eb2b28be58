"""A survey of viewers: pairs of imitations on a static page, and the rates of their answers."""
