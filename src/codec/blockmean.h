/* The means behind a pooled map, for readers that stay in the pooled domain. */
#ifndef PP_CODEC_BLOCKMEAN_H
#define PP_CODEC_BLOCKMEAN_H

#include "codec/codec.h"

/* The means as a stored activation of their own, [n, blocks_h, blocks_w, c]: raw, or group:K where
 * `stored` is avgpool:W+group:K. */
pp__stored pp__blockmean_means(const pp__stored *stored);

#endif
