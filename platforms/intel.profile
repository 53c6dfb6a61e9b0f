# Intel's integrated and Arc GPUs. Both names are asked for: PoCL reports Intel's vendor id on any x86 processor.
parent = default
match.device = intel
match.vendor = intel
match.type = gpu

launch.group_x = 64
common.chunk = 4
update.chunk = 8
