# Graphics cards with memory of their own: many work-items that do little each.
parent = default
match.vendor = nvidia|amd|advanced micro devices
match.type = gpu

launch.group_x = 64
common.chunk = 1
conv2d.block = 4
conv2d.weight_items = 4096
conv2d_tiled.rows = 64
conv2d_tiled.item_rows = 8
conv2d_tiled.item_columns = 8
conv2d_depthwise.tile = 4
conv2d_depthwise.weight_items = 4096
update.chunk = 8
