// All ops of the dialect.

#ifndef CLEAVE_OPS_TD
#define CLEAVE_OPS_TD

include "dialect/CommunicationOps.td"
include "dialect/ComputeOps.td"
include "dialect/ConvolutionOps.td"
include "dialect/DenseOps.td"
include "dialect/ElementwiseOps.td"
include "dialect/FusedOps.td"
include "dialect/ImageOps.td"
include "dialect/IndexOps.td"
include "dialect/ModuleOps.td"
include "dialect/MoeOps.td"
include "dialect/ShapeOps.td"

#endif // CLEAVE_OPS_TD
