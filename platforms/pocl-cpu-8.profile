# The same where the processor's vectors hold 8 floats (AVX): 16 registers for the sums of a work-item.
parent = pocl-cpu
match.platform = portable computing language
match.type = cpu
match.vector = 8

conv2d.vector = 8
conv2d.tile = 6
conv2d.tile_most = 7
conv2d_weight.rows = 6
