# Graphics cards with memory of their own: many work-items that do little each.
parent = default
match.vendor = nvidia|amd|advanced micro devices
match.type = gpu

launch.group_x = 64
common.chunk = 1
conv2d.block = 4
conv2d.weight_items = 4096
