/* pocketprop.h: the core's whole public API: train convolutional networks through OpenCL from one
 * planned arena.
 *
 * Reading order: engine.h, graph.h, model.h, profile.h, plan.h, device.h, session.h, state.h,
 * measure.h, optimizer.h, peak.h.
 * Data sets and image files are a library of their own: data.h. Applications that use OpenCL
 * themselves include opencl.h as well. examples/ holds short programs.
 */
#ifndef POCKETPROP_POCKETPROP_H
#define POCKETPROP_POCKETPROP_H

#include <pocketprop/device.h>
#include <pocketprop/engine.h>
#include <pocketprop/export.h>
#include <pocketprop/graph.h>
#include <pocketprop/measure.h>
#include <pocketprop/model.h>
#include <pocketprop/optimizer.h>
#include <pocketprop/peak.h>
#include <pocketprop/plan.h>
#include <pocketprop/profile.h>
#include <pocketprop/session.h>
#include <pocketprop/state.h>
#include <pocketprop/status.h>
#include <pocketprop/tune.h>

#endif
