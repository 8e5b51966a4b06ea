"""The node agent: model declarations -> weights on this node -> status. Pure decisions, short actors around them."""
