/* update.cl: the optimizers' update rules, as PyTorch writes them, and clipping by the global norm.
 *
 *   g  = clip * dw + UPDATE_DECAY * w         (AdamW decays w by rate * decay instead)
 *   SGD    m = momentum*m + g,  w -= rate * m      (Nesterov: w -= rate * (g + momentum*m))
 *   Adam   m += (1-beta1)*(g - m), v = beta2*v + (1-beta2)*g*g
 *          w -= rate * m*correction1 / (sqrt(v)*correction2 + epsilon)
 *
 * The moment of SGD starts at 0, so the first step gives m = g, as in PyTorch. Rate, Adam's
 * corrections and the clip factor come from the step's scalars. A work-item owns 64 neighbouring
 * elements.
 */

/* float: weight decay of this parameter. */
#ifndef UPDATE_DECAY
#define UPDATE_DECAY 0.0f
#endif
/* float: SGD's momentum; without one there is no moment. */
#ifndef UPDATE_MOMENTUM
#define UPDATE_MOMENTUM 0.0f
#define UPDATE_HAS_MOMENT 0
#define UPDATE_NESTEROV 0
#endif
#ifndef UPDATE_BETA1
#define UPDATE_BETA1 0.9f
#define UPDATE_BETA2 0.999f
#define UPDATE_EPSILON 1e-8f
#define UPDATE_DECOUPLED 0
#endif

#define UPDATE_ELEMS 64

__kernel void update_sgd(__global float *restrict w, uint w_offset,
                         __global const float *restrict dw, uint dw_offset,
                         __global float *restrict m, uint m_offset,
                         __global const float *restrict scalars, uint scalars_offset, uint elems) {
    const uint begin = (uint)get_global_id(0) * UPDATE_ELEMS;
    if (begin >= elems) return;
    TENSOR(w);
    TENSOR(dw);
    TENSOR(m);
    TENSOR(scalars);
    const float rate = scalars[SCALAR_RATE], clip = scalars[SCALAR_CLIP];
    const uint end = min(elems, begin + UPDATE_ELEMS);
    for (uint i = begin; i < end; i += 8) {
        const uint count = min(8u, end - i);
        float8 wv = load8(w + i, count), g = clip * load8(dw + i, count) + UPDATE_DECAY * wv;
#if UPDATE_HAS_MOMENT
        const float8 mv = UPDATE_MOMENTUM * load8(m + i, count) + g;
        store8(mv, m + i, count);
        g = UPDATE_NESTEROV ? g + UPDATE_MOMENTUM * mv : mv;
#endif
        store8(wv - rate * g, w + i, count);
    }
}

__kernel void update_adam(__global float *restrict w, uint w_offset,
                          __global const float *restrict dw, uint dw_offset,
                          __global float *restrict m, uint m_offset, __global float *restrict v,
                          uint v_offset, __global const float *restrict scalars,
                          uint scalars_offset, uint elems) {
    const uint begin = (uint)get_global_id(0) * UPDATE_ELEMS;
    if (begin >= elems) return;
    TENSOR(w);
    TENSOR(dw);
    TENSOR(m);
    TENSOR(v);
    TENSOR(scalars);
    const float rate = scalars[SCALAR_RATE], clip = scalars[SCALAR_CLIP];
    const float correction1 = scalars[SCALAR_CORRECTION1],
                correction2 = scalars[SCALAR_CORRECTION2];
    const uint end = min(elems, begin + UPDATE_ELEMS);
    for (uint i = begin; i < end; i += 8) {
        const uint count = min(8u, end - i);
        float8 wv = load8(w + i, count), g = clip * load8(dw + i, count);
#if UPDATE_DECOUPLED
        wv -= rate * UPDATE_DECAY * wv;
#else
        g += UPDATE_DECAY * wv;
#endif
        float8 mv = load8(m + i, count), vv = load8(v + i, count);
        mv += (1.0f - UPDATE_BETA1) * (g - mv);
        vv = UPDATE_BETA2 * vv + (1.0f - UPDATE_BETA2) * g * g;
        store8(mv, m + i, count);
        store8(vv, v + i, count);
        store8(wv - rate * (mv * correction1) / (sqrt(vv) * correction2 + UPDATE_EPSILON), w + i,
               count);
    }
}

/* squares[0] = sum of one gradient's squares. One work-item, eight running sums of blocks of 256:
 * the order is fixed. */
__kernel void update_squares(__global const float *restrict dw, uint dw_offset,
                             __global float *restrict squares, uint squares_offset, uint elems) {
    if (get_global_id(0) > 0) return;
    TENSOR(dw);
    TENSOR(squares);
    float8 total = (float8)(0.0f);
    for (uint block = 0; block < elems; block += 256) {
        float8 sum = (float8)(0.0f);
        const uint end = min(elems, block + 256);
        for (uint i = block; i < end; i += 8) {
            const float8 g = load8(dw + i, end - i);
            sum = fma(g, g, sum);
        }
        total += sum;
    }
    const float4 four = total.lo + total.hi;
    squares[0] = (four.x + four.y) + (four.z + four.w);
}

/* The clip factor: min(1, bound / (norm + 1e-6)), as PyTorch's clip_grad_norm_. */
__kernel void update_clip(__global const float *restrict squares, uint squares_offset,
                          __global float *restrict scalars, uint scalars_offset, uint count,
                          float bound) {
    if (get_global_id(0) > 0) return;
    TENSOR(squares);
    TENSOR(scalars);
    float sum = 0.0f;
    for (uint i = 0; i < count; i++) sum += squares[i];
    scalars[SCALAR_CLIP] = fmin(1.0f, bound / (sqrt(sum) + 1e-6f));
}
