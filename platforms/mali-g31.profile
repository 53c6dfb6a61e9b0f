# Mali-G31, one or two small Bifrost cores: fewer work-items, more work in each.
parent = mali
match.device = mali-g31
match.type = gpu

common.chunk = 4
conv2d.weight_items = 256
