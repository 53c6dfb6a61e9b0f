# PoCL's CPU driver: one work-item does much, in vectors as wide as the processor's; groups of one, because PoCL
# spreads groups, not items, over its threads: nothing to try there.
parent = default
match.platform = portable computing language
match.type = cpu

launch.group_x = 1 [1..4096]
launch.group_y = 1 [1..4096]
common.chunk = 2048
common.octets = 64
batchnorm.split_octets = 2048
batchnorm.splits = 64
batchnorm.combine = 1
# Reading a binary makes PoCL compile its kernels once more, for any shape of group; its own cache does as well.
launch.driver_cache = 1
conv2d.vector = 16
conv2d.vectors = 2
conv2d.tile = 8
conv2d.tile_most = 14
conv2d.items = 64
conv2d.scratch_bytes = 128K
conv2d.pack = 1
conv2d.blocks_last = 1
conv2d.block = 16
conv2d.weight_items = 64
conv2d.band_bytes = 256K
conv2d_weight.scratch_bytes = 256K
conv2d_weight.vectors = 2
conv2d_weight.rows = 12
conv2d_depthwise.rows = 4
conv2d_depthwise.blocks = 1M
conv2d_depthwise.weight_items = 32
update.chunk = 1024
winograd.scratch_bytes = 960K        # of a core's second-level cache
