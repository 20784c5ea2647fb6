// Every op, type and attribute, through text, the generic form and bytecode.
// RUN: cleave-opt %s | FileCheck %s
// RUN: cleave-opt %s | cleave-opt | FileCheck %s
// RUN: cleave-opt -mlir-print-op-generic %s | cleave-opt | FileCheck %s
// RUN: cleave-opt --emit-bytecode %s | cleave-opt | FileCheck %s
// RUN: cleave-opt %s > %t.once
// RUN: cleave-opt --emit-bytecode %s | cleave-opt > %t.twice
// RUN: diff %t.once %t.twice

#tokens = #cleave.dims<tokens>
#cache = #cleave.dims<slots, context>
#quoted = #cleave.dims<"a+b">
#share = #cleave.dims<tokens[1 of 4]>
#shares = #cleave.dims<"a+b"[0 of 3], context>

// CHECK-DAG: #[[TOKENS:.*]] = #cleave.dims<tokens>
// CHECK-DAG: #[[CACHE:.*]] = #cleave.dims<slots, context>
// CHECK-DAG: #[[QUOTED:.*]] = #cleave.dims<"a+b">
// CHECK-DAG: #[[SHARE:share_1_of_4_tokens]] = #cleave.dims<tokens[1 of 4]>
// CHECK-DAG: #[[SHARES:.*]] = #cleave.dims<"a+b"[0 of 3], context>

// CHECK-LABEL: module @declarations attributes
// CHECK-SAME: cleave.model = {architecture = "llama"}
// CHECK-SAME: cleave.plan = "mesh: {tp: 2}"
// CHECK-SAME: cleave.source = "model.gguf"
module @declarations attributes {
    cleave.model = {architecture = "llama"}, cleave.plan = "mesh: {tp: 2}",
    cleave.source = "model.gguf"} {
  // CHECK: cleave.mesh @even <"tp" = 2>
  cleave.mesh @even <"tp" = 2>
  // CHECK: cleave.mesh @uneven <"data" = 2, "tp" = 3> shares {tp = array<i64: 2, 1, 1>}
  cleave.mesh @uneven <"data" = 2, "tp" = 3> shares {tp = array<i64: 2, 1, 1>}
  // CHECK: cleave.mesh @prompts <"tp" = 4> sequence "tp"
  cleave.mesh @prompts <"tp" = 4> sequence "tp"

  // CHECK: cleave.weight @f32 : tensor<32x64xf32> from gguf<"model.gguf">
  cleave.weight @f32 : tensor<32x64xf32> from gguf<"model.gguf">
  // CHECK: cleave.weight @f16 : tensor<32x64xf16> from gguf<"model.gguf", "fused">{{$}}
  cleave.weight @f16 : tensor<32x64xf16> from gguf<"model.gguf", "fused">
  // CHECK: cleave.weight @bf16 : tensor<32x64xbf16> from npy<"w.npy">
  cleave.weight @bf16 : tensor<32x64xbf16> from npy<"w.npy">
  // CHECK: cleave.weight @fc : tensor<10x256xf32> from onnx<"m.onnx", "fc.weight">
  cleave.weight @fc : tensor<10x256xf32> from onnx<"m.onnx", "fc.weight">
  // CHECK: cleave.weight @nibbles : tensor<4x64x!cleave.q5_0> from onnx<"m.onnx", "fc.B" blocks {bits = 4 : i64, length = 32 : i64, scales = "s", zeros = "z"}>
  cleave.weight @nibbles : tensor<4x64x!cleave.q5_0> from onnx<"m.onnx", "fc.B" blocks {bits = 4, length = 32, scales = "s", zeros = "z"}>
  // CHECK: from onnx<"m.onnx", "fc" as [256, 10] transposed> slice [0:5, 0:256]
  cleave.weight @swapped : tensor<5x256xf32> from onnx<"m.onnx", "fc" as [256, 10] transposed> slice [0:5, 0:256]
  // CHECK: from dense<[2], "0x0000803f00000040">
  cleave.weight @dense : tensor<2xf32> from dense<[2], "0x0000803F00000040">
  // CHECK: cleave.weight @q8_0 : tensor<32x64x!cleave.q8_0> from random<7> slice [0:32, 64:128]
  cleave.weight @q8_0 : tensor<32x64x!cleave.q8_0> from random<7> slice [0:32, 64:128]
  cleave.weight @experts : tensor<8x64x64x!cleave.q8_0> from none
  cleave.weight @inside : tensor<8x40x64xf32> from none
  // CHECK: cleave.weight @"blk.0.q4 0" : tensor<32x64x!cleave.q4_0> from none
  // CHECK-SAME: split [#cleave.split<column "tp">, #cleave.split<row "data">]
  // CHECK-SAME: sharding <[{"tp"}, {"data"}]>
  cleave.weight @"blk.0.q4 0" : tensor<32x64x!cleave.q4_0> from none
    split [#cleave.split<column "tp">, #cleave.split<row "data">] sharding <[{"tp"}, {"data"}]>
  // CHECK: cleave.weight @more : tensor<8xf32> from none
  // CHECK-SAME: split [#cleave.split<head "tp">, #cleave.split<expert "tp">, #cleave.split<none>] {cleave.name = "n"}
  cleave.weight @more : tensor<8xf32> from none
    split [#cleave.split<head "tp">, #cleave.split<expert "tp">, #cleave.split<none>] {cleave.name = "n"}

  // CHECK: cleave.state @half : tensor<?x?x32xf16, #[[CACHE]]>
  cleave.state @half : tensor<?x?x32xf16, #cache>
  // CHECK: cleave.state @single : tensor<?x?x32xf32, #[[CACHE]]> sharding <[{}, {}, {"tp" : [0:16, 8:24, 24:32]}]>
  cleave.state @single : tensor<?x?x32xf32, #cache> sharding <[{}, {}, {"tp" : [0:16, 8:24, 24:32]}]>

  // CHECK-LABEL: func.func @compute
  func.func @compute(%ids: tensor<?xi32, #tokens> {cleave.input = "tokens"},
                     %slots: tensor<?xi32, #tokens> {cleave.input = "slots"})
      -> (tensor<?x64xf32, #tokens> {cleave.output = "x", cleave.owner = 0 : i64}) {
    // CHECK: %[[W:.*]] = cleave.use @f32 : tensor<32x64xf32>
    %w = cleave.use @f32 : tensor<32x64xf32>
    // CHECK: %[[Q:.*]] = cleave.use @q8_0 : tensor<32x64x!cleave.q8_0>
    %q = cleave.use @q8_0 : tensor<32x64x!cleave.q8_0>
    // CHECK: %[[X:.*]] = cleave.gather %[[Q]], %{{.*}} {cleave.name = "token_embd"} : (tensor<32x64x!cleave.q8_0>, tensor<?xi32, #[[TOKENS]]>) -> tensor<?x64xf32, #[[TOKENS]]>
    %x = cleave.gather %q, %ids {cleave.name = "token_embd"} : (tensor<32x64x!cleave.q8_0>, tensor<?xi32, #tokens>) -> tensor<?x64xf32, #tokens>
    // CHECK: cleave.gather masked %[[W]], %{{.*}} {offset = 32 : i64} :
    %m = cleave.gather masked %w, %ids {offset = 32 : i64} : (tensor<32x64xf32>, tensor<?xi32, #tokens>) -> tensor<?x64xf32, #tokens>
    // CHECK: %[[L:.*]] = cleave.linear %[[X]], %[[W]] : (tensor<?x64xf32, #[[TOKENS]]>, tensor<32x64xf32>) -> tensor<?x32xf32, #[[TOKENS]]>
    %l = cleave.linear %x, %w : (tensor<?x64xf32, #tokens>, tensor<32x64xf32>) -> tensor<?x32xf32, #tokens>
    // CHECK: cleave.use @more
    %n = cleave.use @more : tensor<8xf32>
    // CHECK: %[[SCALED:.*]] = cleave.scale %[[L]] by 2.500000e-01 : tensor<?x32xf32, #[[TOKENS]]>
    %scaled = cleave.scale %l by 0.25 : tensor<?x32xf32, #tokens>
    // CHECK: %[[SHAPED:.*]] = cleave.reshape %[[SCALED]] groups [1:1, 1:3] : tensor<?x32xf32, #[[TOKENS]]> -> tensor<?x4x1x8xf32, #[[TOKENS]]>
    %shaped = cleave.reshape %scaled groups [1:1, 1:3] : tensor<?x32xf32, #tokens> -> tensor<?x4x1x8xf32, #tokens>
    // CHECK: cleave.transpose %[[SHAPED]] [1, 0, 3, 2] : tensor<?x4x1x8xf32, #[[TOKENS]]> -> tensor<4x?x8x1xf32, #[[TOKENS]]>
    %turned = cleave.transpose %shaped [1, 0, 3, 2] : tensor<?x4x1x8xf32, #tokens> -> tensor<4x?x8x1xf32, #tokens>
    // CHECK: %[[S:.*]] = cleave.slice %[[L]] dim 1 from 8 : tensor<?x32xf32, #[[TOKENS]]> -> tensor<?x8xf32, #[[TOKENS]]>
    %s = cleave.slice %l dim 1 from 8 : tensor<?x32xf32, #tokens> -> tensor<?x8xf32, #tokens>
    // CHECK: cleave.rms_norm %[[S]], %{{.*}} {epsilon = 5.000000e-01 : f32} : tensor<?x8xf32, #[[TOKENS]]>, tensor<8xf32>
    %r = cleave.rms_norm %s, %n {epsilon = 0.5 : f32} : tensor<?x8xf32, #tokens>, tensor<8xf32>
    // CHECK: cleave.rms_norm per_head %[[L]], %{{.*}} {epsilon = 5.000000e-01 : f32} : tensor<?x32xf32, #[[TOKENS]]>, tensor<8xf32>
    %rh = cleave.rms_norm per_head %l, %n {epsilon = 0.5 : f32} : tensor<?x32xf32, #tokens>, tensor<8xf32>
    // CHECK: cleave.silu
    %a = cleave.silu %r : tensor<?x8xf32, #tokens>
    // CHECK: cleave.add %{{.*}}, %{{.*}} : tensor<?x8xf32, #[[TOKENS]]>, tensor<8xf32>
    %b = cleave.add %a, %n : tensor<?x8xf32, #tokens>, tensor<8xf32>
    // CHECK: cleave.mul %{{.*}}, %{{.*}} : tensor<?x8xf32, #[[TOKENS]]>, tensor<?x8xf32, #[[TOKENS]]>
    %c = cleave.mul %a, %b : tensor<?x8xf32, #tokens>, tensor<?x8xf32, #tokens>
    // A pad stands only where a weight's blocks do not end with the share.
    // CHECK: %[[Q32:.*]] = cleave.use @q8_32
    // CHECK: cleave.linear %{{.*}}, %[[Q32]] {pad_before = 24 : i64} : (tensor<?x8xf32, #[[TOKENS]]>, tensor<32x32x!cleave.q8_0>)
    %q32 = cleave.use @q8_32 : tensor<32x32x!cleave.q8_0>
    %p = cleave.linear %c, %q32 {pad_before = 24 : i64} : (tensor<?x8xf32, #tokens>, tensor<32x32x!cleave.q8_0>) -> tensor<?x32xf32, #tokens>
    return %x : tensor<?x64xf32, #tokens>
  }
  cleave.weight @q8_32 : tensor<32x32x!cleave.q8_0> from none

  // CHECK-LABEL: func.func @by_elements
  func.func @by_elements(%x: tensor<?x8xf32, #tokens>, %h: tensor<?x8xf16, #tokens>,
                         %i: tensor<3x1xui8>, %c: tensor<8xi1>, %s: tensor<f64>) -> tensor<f64> {
    // CHECK: cleave.elu %{{.*}} {alpha = 5.000000e-01 : f32} : tensor<?x8xf16, #[[TOKENS]]>
    %elu = cleave.elu %h {alpha = 0.5 : f32} : tensor<?x8xf16, #tokens>
    // CHECK: cleave.clip %{{.*}} {max = 0x7F800000 : f32, min = 0.000000e+00 : f32} : tensor<f64>
    %clip = cleave.clip %s {min = 0.0 : f32, max = 0x7F800000 : f32} : tensor<f64>
    // CHECK: %[[NAN:.*]] = cleave.is_nan %{{.*}} : tensor<?x8xf32, #[[TOKENS]]>
    %nan = cleave.is_nan %x : tensor<?x8xf32, #tokens>
    // CHECK: cleave.and %[[NAN]], %{{.*}} : tensor<?x8xi1, #[[TOKENS]]>, tensor<8xi1>
    %and = cleave.and %nan, %c : tensor<?x8xi1, #tokens>, tensor<8xi1>
    // CHECK: %[[SUM:.*]] = cleave.add %{{.*}}, %{{.*}} : tensor<3x1xui8>, tensor<1x4xui8>
    %four = cleave.use @four : tensor<1x4xui8>
    %sum = cleave.add %i, %four : tensor<3x1xui8>, tensor<1x4xui8>
    // CHECK: %[[LESS:.*]] = cleave.less %[[SUM]], %{{.*}} : tensor<3x4xui8>, tensor<3x1xui8>
    %less = cleave.less %sum, %i : tensor<3x4xui8>, tensor<3x1xui8>
    // CHECK: cleave.where %[[LESS]], %[[SUM]], %{{.*}} {repeats = array<i64: 2, 1>} : tensor<3x4xi1>, tensor<3x4xui8>, tensor<3x1xui8>
    %where = cleave.where %less, %sum, %i {repeats = array<i64: 2, 1>} : tensor<3x4xi1>, tensor<3x4xui8>, tensor<3x1xui8>
    // CHECK: cleave.cast %{{.*}} : tensor<3x4xui8> -> tensor<3x4xbf16>
    %cast = cleave.cast %where : tensor<3x4xui8> -> tensor<3x4xbf16>
    return %clip : tensor<f64>
  }
  cleave.weight @four : tensor<1x4xui8> from none

  // CHECK-LABEL: func.func @convolve
  func.func @convolve(%x: tensor<?x4x9x7xf32, #tokens>, %w: tensor<6x4x3x2xf32>, %b: tensor<6xf32>,
                      %g: tensor<8x2x1x1xf32>) -> tensor<?x6x4x7xf32, #tokens> {
    // CHECK: cleave.conv %{{.*}}, %{{.*}} strides [2, 1] pads [0, 1, 0, 0] dilations [1, 1] : (tensor<?x4x9x7xf32, #[[TOKENS]]>, tensor<6x4x3x2xf32>) -> tensor<?x6x4x7xf32, #[[TOKENS]]>
    %y = cleave.conv %x, %w strides [2, 1] pads [0, 1, 0, 0] dilations [1, 1] : (tensor<?x4x9x7xf32, #tokens>, tensor<6x4x3x2xf32>) -> tensor<?x6x4x7xf32, #tokens>
    // CHECK: cleave.conv %{{.*}}, %{{.*}} bias %{{.*}} strides [1, 1] pads [0, 0, 0, 0] dilations [4, 6] {omits_bias} : ({{.*}}, tensor<6xf32>) -> tensor<?x6x1x1xf32, #[[TOKENS]]>
    %z = cleave.conv %x, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [4, 6] {omits_bias} : (tensor<?x4x9x7xf32, #tokens>, tensor<6x4x3x2xf32>, tensor<6xf32>) -> tensor<?x6x1x1xf32, #tokens>
    // CHECK: cleave.conv grouped %{{.*}}, %{{.*}} strides
    %d = cleave.conv grouped %x, %g strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<?x4x9x7xf32, #tokens>, tensor<8x2x1x1xf32>) -> tensor<?x8x9x7xf32, #tokens>
    return %y : tensor<?x6x4x7xf32, #tokens>
  }

  // CHECK-LABEL: func.func @attend
  func.func @attend(%x: tensor<?x64xf32, #tokens>, %x32: tensor<?x32xf32, #tokens>,
                    %pos: tensor<?xi32, #tokens>, %slots: tensor<?xi32, #tokens>,
                    %f: tensor<4xf32>) -> tensor<?x64xf32, #tokens> {
    // CHECK: %[[R:.*]] = cleave.rope %{{.*}}, %{{.*}} {base = 1.000000e+04 : f32, head_dim = 8 : i64, rotary_dim = 8 : i64} : tensor<?x64xf32, #[[TOKENS]]>, tensor<?xi32, #[[TOKENS]]>
    %r = cleave.rope %x, %pos {head_dim = 8, rotary_dim = 8, base = 1.0e4 : f32} : tensor<?x64xf32, #tokens>, tensor<?xi32, #tokens>
    // CHECK: cleave.rope %[[R]], %{{.*}} factors %{{.*}} {base = 1.000000e+04 : f32, head_dim = 16 : i64, rotary_dim = 8 : i64, scale = 2.500000e-01 : f32, style = #cleave<rope_style halves>} : {{.*}}, tensor<4xf32>
    %h = cleave.rope %r, %pos factors %f {head_dim = 16, rotary_dim = 8, base = 1.0e4 : f32, scale = 0.25 : f32, style = #cleave<rope_style halves>} : tensor<?x64xf32, #tokens>, tensor<?xi32, #tokens>, tensor<4xf32>
    // CHECK: %[[K:.*]] = cleave.state_update @half, %{{.*}} at %{{.*}}, %{{.*}} : (tensor<?x32xf32, #[[TOKENS]]>, tensor<?xi32, #[[TOKENS]]>, tensor<?xi32, #[[TOKENS]]>) -> tensor<?x?x32xf16, #[[CACHE]]>
    %k = cleave.state_update @half, %x32 at %slots, %pos : (tensor<?x32xf32, #tokens>, tensor<?xi32, #tokens>, tensor<?xi32, #tokens>) -> tensor<?x?x32xf16, #cache>
    // CHECK: cleave.attention %{{.*}}, %[[K]], %[[K]] at %{{.*}}, %{{.*}} {first_head = 2 : i64, group = 3 : i64, head_dim = 8 : i64, scale = 5.000000e-01 : f32, window = 4 : i64}
    %a = cleave.attention %h, %k, %k at %slots, %pos {head_dim = 8, group = 3, first_head = 2, scale = 0.5 : f32, window = 4} : tensor<?x64xf32, #tokens>, tensor<?x?x32xf16, #cache>, tensor<?xi32, #tokens>, tensor<?xi32, #tokens>
    // CHECK: cleave.cut "blk.1"
    cleave.cut "blk.1"
    return %a : tensor<?x64xf32, #tokens>
  }

  // CHECK-LABEL: func.func @mixture
  func.func @mixture(%x: tensor<?x64xf32, #tokens>, %l: tensor<?x8xf32, #tokens>) {
    // CHECK: %[[GATE:.*]] = cleave.use @experts
    %g = cleave.use @experts : tensor<8x64x64x!cleave.q8_0>
    // CHECK: %[[CHOSEN:.*]] = cleave.route %[[LOGITS:.*]] : tensor<?x8xf32, #[[TOKENS]]> -> tensor<?x2xi32, #[[TOKENS]]>
    %c = cleave.route %l : tensor<?x8xf32, #tokens> -> tensor<?x2xi32, #tokens>
    // CHECK: %[[WEIGHTS:.*]] = cleave.route_weights normalized %[[LOGITS]], %[[CHOSEN]] {scale = 2.500000e+00 : f32} : tensor<?x8xf32, #[[TOKENS]]>, tensor<?x2xi32, #[[TOKENS]]> -> tensor<?x2xf32, #[[TOKENS]]>
    %w = cleave.route_weights normalized %l, %c {scale = 2.5 : f32} : tensor<?x8xf32, #tokens>, tensor<?x2xi32, #tokens> -> tensor<?x2xf32, #tokens>
    // CHECK: cleave.route_weights %[[LOGITS]], %[[CHOSEN]] :
    %v = cleave.route_weights %l, %c : tensor<?x8xf32, #tokens>, tensor<?x2xi32, #tokens> -> tensor<?x2xf32, #tokens>
    // CHECK: cleave.moe %{{.*}} to %[[CHOSEN]], %[[WEIGHTS]] through %[[GATE]], %[[GATE]], %[[GATE]] : (tensor<?x64xf32, #[[TOKENS]]>, tensor<?x2xi32, #[[TOKENS]]>, tensor<?x2xf32, #[[TOKENS]]>, tensor<8x64x64x!cleave.q8_0>, tensor<8x64x64x!cleave.q8_0>, tensor<8x64x64x!cleave.q8_0>) -> tensor<?x64xf32, #[[TOKENS]]>
    %y = cleave.moe %x to %c, %w through %g, %g, %g : (tensor<?x64xf32, #tokens>, tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>, tensor<8x64x64x!cleave.q8_0>, tensor<8x64x64x!cleave.q8_0>, tensor<8x64x64x!cleave.q8_0>) -> tensor<?x64xf32, #tokens>
    // CHECK: cleave.moe {{.*}} {first_expert = 3 : i64, pad_before = 7 : i64} :
    %h = cleave.use @inside : tensor<8x40x64xf32>
    %z = cleave.moe %x to %c, %w through %h, %h, %g {first_expert = 3 : i64, pad_before = 7 : i64} : (tensor<?x64xf32, #tokens>, tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>, tensor<8x40x64xf32>, tensor<8x40x64xf32>, tensor<8x64x64x!cleave.q8_0>) -> tensor<?x64xf32, #tokens>
    return
  }

  // CHECK-LABEL: func.func @sharded
  // CHECK-SAME: cleave.sharding = #cleave.sharding<[{}, {"tp"}]>
  func.func @sharded(%x: tensor<?x64xf32, #quoted> {cleave.sharding = #cleave.sharding<[{}, {"tp"}]>}) -> tensor<?x64xf32, #quoted> {
    // CHECK: cleave.silu %{{.*}} {cleave.name = "act", cleave.sharding = [#cleave.sharding<[{}, {"tp", "data" : [0:24, 24:48, 48:64, 0:0]}]>], cleave.stage = 0 : i64} : tensor<?x64xf32, #[[QUOTED]]>
    %a = cleave.silu %x {cleave.name = "act", cleave.sharding = [#cleave.sharding<[{}, {"tp", "data" : [0:24, 24:48, 48:64, 0:0]}]>], cleave.stage = 0 : i64} : tensor<?x64xf32, #quoted>
    // CHECK: cleave.top_elements %{{.*}} {cleave.sharding = [unit, #cleave.sharding<[{}, {}]>]}
    %v, %i = cleave.top_elements %a dim 1 {cleave.sharding = [unit, #cleave.sharding<[{}, {}]>]} : tensor<?x64xf32, #quoted> -> tensor<?x3xf32, #quoted>, tensor<?x3xi64, #quoted>
    // CHECK: cleave.reshard %{{.*}} {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum, "data" : sum}>]}
    %b = cleave.reshard %a {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum, "data" : sum}>]} : tensor<?x64xf32, #quoted>
    // CHECK: cleave.top_k %{{.*}} {cleave.sharding = [#cleave.sharding<[{}, {}, {}], partial = {"tp" : top, "data" : top}>], offset = 7 : i64} : tensor<?x64xf32, #[[QUOTED]]> -> tensor<?x3x2xf32, #[[QUOTED]]>
    %t = cleave.top_k %a {cleave.sharding = [#cleave.sharding<[{}, {}, {}], partial = {"tp" : top, "data" : top}>], offset = 7 : i64} : tensor<?x64xf32, #quoted> -> tensor<?x3x2xf32, #quoted>
    // CHECK: cleave.transfer %{{.*}} to 2 {cleave.stage = 1 : i64} :
    %c = cleave.transfer %b to 2 {cleave.stage = 1 : i64} : tensor<?x64xf32, #quoted>
    return %c : tensor<?x64xf32, #quoted>
  }

  // CHECK-LABEL: module @rank1 attributes {cleave.coordinate = {tp = 1 : i64}, cleave.rank = 1 : i64, cleave.stage = 0 : i64}
  module @rank1 attributes {cleave.coordinate = {tp = 1 : i64}, cleave.rank = 1 : i64, cleave.stage = 0 : i64} {
    func.func @step(%x: tensor<4x8xf32>, %candidates: tensor<?x3x2xf32, #tokens>,
                    %w8: tensor<4x32x!cleave.q8_0>, %w4: tensor<8x32x!cleave.q4_0>,
                    %weight: tensor<8xf32>) {
      // CHECK: cleave.all_reduce sum %{{.*}} group [0, 1] : tensor<4x8xf32>
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4x8xf32>
      // CHECK: cleave.all_reduce top %{{.*}} group [0, 1] : tensor<?x3x2xf32, #[[TOKENS]]>
      %t = cleave.all_reduce top %candidates group [0, 1] : tensor<?x3x2xf32, #tokens>
      // CHECK: %sum, %normed = cleave.all_reduce_add sum %{{.*}}, %{{.*}} norm %{{.*}} group [0, 1] {epsilon = 0.000000e+00 : f32, names = ["", "sum", "normed"]} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
      %n:2 = cleave.all_reduce_add sum %x, %a norm %weight group [0, 1] {epsilon = 0.0 : f32, names = ["", "sum", "normed"]} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
      // CHECK: cleave.all_reduce_add sum %{{.*}}, %{{.*}} group [0, 1] : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
      %o = cleave.all_reduce_add sum %x, %a group [0, 1] : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
      // CHECK: %[[SUM:.*]]:2 = cleave.add_norm %{{.*}}, %{{.*}}, %{{.*}} {epsilon = 0.000000e+00 : f32} : tensor<4x8xf32>, tensor<8xf32>
      %p:2 = cleave.add_norm %x, %o, %weight {epsilon = 0.0 : f32} : tensor<4x8xf32>, tensor<8xf32>
      // CHECK: %{{.*}}:2 = cleave.merged_all_reduce sum %[[SUM]]#0, %{{.*}} group [1, 0] : (tensor<4x8xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<8xf32>)
      %q:2 = cleave.merged_all_reduce sum %p#0, %weight group [1, 0] : (tensor<4x8xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<8xf32>)
      // CHECK: %a_b:2 = cleave.joined_linear %{{.*}}, %{{.*}}, %{{.*}} {names = ["a b", ""], pad_before = 2 : i64} : (tensor<4x8xf32>, tensor<4x32x!cleave.q8_0>, tensor<8x32x!cleave.q4_0>) -> (tensor<4x4xf32>, tensor<4x8xf32>)
      %j:2 = cleave.joined_linear %x, %w8, %w4 {names = ["a b", ""], pad_before = 2 : i64} : (tensor<4x8xf32>, tensor<4x32x!cleave.q8_0>, tensor<8x32x!cleave.q4_0>) -> (tensor<4x4xf32>, tensor<4x8xf32>)
      // CHECK: cleave.all_gather %{{.*}} dim 1 ranges [0:8, 4:12, 12:14] group [1, 0, 2] : tensor<4x8xf32> -> tensor<4x14xf32>
      %b = cleave.all_gather %a dim 1 ranges [0:8, 4:12, 12:14] group [1, 0, 2] : tensor<4x8xf32> -> tensor<4x14xf32>
      // CHECK: cleave.reduce_scatter sum %{{.*}} dim 0 ranges [0:1, 1:4] group [0, 1] : tensor<4x14xf32> -> tensor<3x14xf32>
      %c = cleave.reduce_scatter sum %b dim 0 ranges [0:1, 1:4] group [0, 1] : tensor<4x14xf32> -> tensor<3x14xf32>
      // CHECK: cleave.all_to_all %{{.*}} split dim 1 ranges [0:3, 2:8] concat dim 0 ranges [0:4, 4:9] group [1, 0] : tensor<4x8xf32> -> tensor<9x3xf32>
      %m = cleave.all_to_all %x split dim 1 ranges [0:3, 2:8] concat dim 0 ranges [0:4, 4:9] group [1, 0] : tensor<4x8xf32> -> tensor<9x3xf32>
      // CHECK: cleave.broadcast %{{.*}} group [1, 0] : tensor<3x14xf32>
      %d = cleave.broadcast %c group [1, 0] : tensor<3x14xf32>
      // CHECK: cleave.send %{{.*}} to 2 tag 7 {cleave.name = "x"} : tensor<3x14xf32>
      cleave.send %d to 2 tag 7 {cleave.name = "x"} : tensor<3x14xf32>
      // CHECK: cleave.recv from 2 tag 32767 : tensor<?x4xi32, #[[TOKENS]]>
      %e = cleave.recv from 2 tag 32767 : tensor<?x4xi32, #tokens>
      // CHECK: cleave.share %{{.*}} dim 0 : tensor<?x4xi32, #[[TOKENS]]> -> tensor<?x4xi32, #[[SHARE]]>
      %f = cleave.share %e dim 0 : tensor<?x4xi32, #tokens> -> tensor<?x4xi32, #share>
      // CHECK: cleave.all_gather %{{.*}} dim 0 group [2, 1, 0, 3] : tensor<?x4xi32, #[[SHARE]]> -> tensor<?x4xi32, #[[TOKENS]]>
      %g = cleave.all_gather %f dim 0 group [2, 1, 0, 3] : tensor<?x4xi32, #share> -> tensor<?x4xi32, #tokens>
      // CHECK: cleave.recv from 2 tag 3 : tensor<?x?x8xf32, #[[SHARES]]>
      %h = cleave.recv from 2 tag 3 : tensor<?x?x8xf32, #shares>
      // CHECK: cleave.reduce_scatter sum %{{.*}} dim 1 group [0, 1, 2] : tensor<?x?x8xf32, #[[SHARES]]> -> tensor<?x?x8xf32, #{{.*}}>
      %i = cleave.reduce_scatter sum %h dim 1 group [0, 1, 2] : tensor<?x?x8xf32, #shares> -> tensor<?x?x8xf32, #cleave.dims<"a+b"[0 of 3], context[2 of 3]>>
      return
    }
  }
}
