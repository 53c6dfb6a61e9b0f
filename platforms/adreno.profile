# Qualcomm Adreno GPUs: waves of 64 and 128 lanes, float4 vectors.
parent = default
match.device = adreno
match.type = gpu

launch.group_x = 64
common.chunk = 2
conv2d.vector = 4
conv2d.block = 4
update.chunk = 8
