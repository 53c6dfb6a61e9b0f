# PoCL's CPU driver: one work-item does much, in vectors as wide as the processor's; groups of one, because PoCL
# spreads groups, not items, over its threads.
parent = default
match.platform = portable computing language
match.type = cpu

common.chunk = 128
conv2d.vector = 16
conv2d.tile = 8
conv2d.block = 16
conv2d.weight_items = 64
conv2d.band_bytes = 256K
