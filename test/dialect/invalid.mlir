// What the parsers and verifiers of the dialect refuse, each check once: types, attributes, and the ops
// that declare.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics

// === Types ===

// expected-error@+1 {{unknown block type 'q8_9', expected one of}}
func.func private @f(tensor<4x32x!cleave.q8_9>)

// -----

// f32 is in the table of element types, but has no blocks.
// expected-error@+1 {{unknown block type 'f32', expected one of}}
func.func private @f(tensor<4x32x!cleave.f32>)

// -----

// === Attributes ===

// expected-error@+1 {{names 2 run-time sizes of a tensor that has 1}}
func.func private @f(tensor<?x4xf32, #cleave.dims<a, b>>)

// -----

// expected-error@+1 {{names 1 run-time sizes of a tensor that has 0}}
func.func private @f(tensor<4xf32, #cleave.dims<a>>)

// -----

// expected-error@+1 {{the run-time size "tokens[4 of 4]" is no share of another}}
func.func private @f(tensor<?x4xf32, #cleave.dims<tokens[4 of 4]>>)

// -----

// expected-error@+1 {{the run-time size "tokens[0 of 1]" is no share of another; expected NAME[INDEX of COUNT] with an index below the count, and a count of 2 to 65536}}
func.func private @f(tensor<?x4xf32, #cleave.dims<tokens[0 of 1]>>)

// -----

// expected-error@+1 {{the run-time size "tokens[0 of 65537]" is no share of another}}
func.func private @f(tensor<?x4xf32, #cleave.dims<tokens[0 of 65537]>>)

// -----

// expected-error@+1 {{the run-time size "tokens[-1 of 4]" is no share of another}}
func.func private @f(tensor<?x4xf32, #cleave.dims<tokens[-1 of 4]>>)

// -----

// expected-error@+1 {{the run-time size "a]" is no share of another}}
func.func private @f(tensor<?x4xf32, #cleave.dims<"a]">>)

// -----

// A share of a share.
// expected-error@+1 {{the run-time size "a[0 of 2][1 of 2]" is no share of another}}
func.func private @f(tensor<?x4xf32, #cleave.dims<"a[0 of 2]"[1 of 2]>>)

// -----

// expected-error@+1 {{the run-time size "a[01 of 2]" is no share of another}}
func.func private @f(tensor<?x4xf32, #cleave.dims<"a[01 of 2]">>)

// -----

// expected-error@+1 {{axis "tp" appears twice in a sharding}}
func.func private @f() attributes {a = #cleave.sharding<[{"tp"}, {"tp"}]>}

// -----

// expected-error@+1 {{axis "tp" appears twice in a sharding}}
func.func private @f() attributes {a = #cleave.sharding<[{"tp"}], partial = {"tp" : sum}>}

// -----

// expected-error@+1 {{unknown kind 'max', expected sum or top}}
func.func private @f() attributes {a = #cleave.sharding<[{}], partial = {"tp" : max}>}

// -----

// expected-error@+1 {{a value is partial by top and by sum, expected one kind}}
func.func private @f() attributes {a = #cleave.sharding<[{}], partial = {"tp" : sum, "data" : top}>}

// -----

// expected-error@+1 {{range 8:4 is not of the form begin:end with 0 <= begin <= end}}
func.func private @f() attributes {a = #cleave.sharding<[{"tp" : [0:8, 8:4]}]>}

// -----

// expected-error@+1 {{range -1:4 is not of the form begin:end}}
func.func private @f() attributes {a = #cleave.sharding<[{"tp" : [-1:4]}]>}

// -----

// expected-error@+1 {{unknown split type 'colunm', expected column, row, head, expert or none}}
func.func private @f() attributes {a = #cleave.split<colunm "tp">}

// -----

// expected-error@+1 {{unknown source 'tflite', expected gguf, onnx, npy, dense, random or none}}
cleave.weight @w : tensor<4x4xf32> from tflite<"a">

// -----

// === Discardable attributes ===

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{has attribute 'cleave.name' = 3 : i64, expected a string}}
  %y = cleave.silu %x {cleave.name = 3 : i64} : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{has attribute 'cleave.stage' = "one", expected an integer}}
  %y = cleave.silu %x {cleave.stage = "one"} : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// expected-error@+1 {{has attribute 'cleave.coordinate' = 0 : i64, expected an integer for each axis}}
module attributes {cleave.coordinate = 0 : i64} {}

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{expects attribute 'cleave.sharding' to hold one sharding for each result}}
  %y = cleave.silu %x {cleave.sharding = []} : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{to hold one sharding for each result, or unit where none is given}}
  %y = cleave.silu %x {cleave.sharding = ["tp"]} : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{has a sharding of 2 dims for a value of type 'tensor<4xf32>'}}
  %y = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// expected-error@+1 {{has unknown attribute 'cleave.nmae'}}
module attributes {cleave.nmae = "a"} {}

// -----

// expected-error@+1 {{has attribute 'cleave.input' = 1 : i64, expected a string}}
func.func private @f(tensor<4xf32> {cleave.input = 1 : i64})

// -----

// expected-error@+1 {{has attribute 'cleave.sharding' = "tp", expected a sharding}}
func.func private @f(tensor<4xf32> {cleave.sharding = "tp"})

// -----

// expected-error@+1 {{has a sharding of 1 dims for a value of type 'tensor<4x4xf32>'}}
func.func private @f(tensor<4x4xf32> {cleave.sharding = #cleave.sharding<[{}]>})

// -----

// expected-error@+1 {{has a sharding for a value of type 'i32', which is no tensor}}
func.func private @f(i32 {cleave.sharding = #cleave.sharding<[]>})

// -----

// expected-error@+1 {{has unknown argument attribute 'cleave.output'}}
func.func private @f(tensor<4xf32> {cleave.output = "x"})

// -----

// expected-error@+1 {{has attribute 'cleave.output' = 1 : i64, expected a string}}
func.func private @f() -> (tensor<4xf32> {cleave.output = 1 : i64})

// -----

// expected-error@+1 {{has attribute 'cleave.owner' = "me", expected an integer}}
func.func private @f() -> (tensor<4xf32> {cleave.owner = "me"})

// -----

// expected-error@+1 {{has unknown result attribute 'cleave.input'}}
func.func private @f() -> (tensor<4xf32> {cleave.input = "x"})

// -----

// === mesh ===

// expected-error@+1 {{has 1 axes and 2 sizes}}
"cleave.mesh"() <{sym_name = "m", axes = ["tp"], sizes = array<i64: 1, 2>}> : () -> ()

// -----

// expected-error@+1 {{names axis "tp" twice}}
cleave.mesh @m <"tp" = 2, "tp" = 3>

// -----

// expected-error@+1 {{gives axis "tp" the size 0, expected at least 1}}
cleave.mesh @m <"tp" = 0>

// -----

// expected-error@+1 {{has more than 65536 coordinates}}
cleave.mesh @m <"a" = 65536, "b" = 2>

// -----

// expected-error@+1 {{has more than 65536 coordinates}}
cleave.mesh @m <"a" = 9223372036854775807, "b" = 2>

// -----

// expected-error@+1 {{has shares for "dp", which is no axis of it}}
cleave.mesh @m <"tp" = 2> shares {dp = array<i64: 1, 1>}

// -----

// expected-error@+1 {{has shares array<i64: 2, 1, 1> for axis "tp", expected 2 positive numbers}}
cleave.mesh @m <"tp" = 2> shares {tp = array<i64: 2, 1, 1>}

// -----

// expected-error@+1 {{has shares array<i64: 1, 0> for axis "tp", expected 2 positive numbers}}
cleave.mesh @m <"tp" = 2> shares {tp = array<i64: 1, 0>}

// -----

// expected-error@+1 {{has shares "2,1" for axis "tp", expected 2 positive numbers}}
cleave.mesh @m <"tp" = 2> shares {tp = "2,1"}

// -----

// expected-error@+1 {{has sequence "dp", which is no axis of it}}
cleave.mesh @m <"tp" = 2> sequence "dp"

// -----

// === weight, use, state ===

// expected-error@+1 {{expected static sizes}}
cleave.weight @w : tensor<?x4xf32, #cleave.dims<a>> from none

// -----

// expected-error@+1 {{has type 'tensor<!cleave.q8_0>', expected at least one dim for blocks}}
cleave.weight @w : tensor<!cleave.q8_0> from none

// -----

// expected-error@+1 {{has a last dim of size 48, which is no whole number of blocks of 32}}
cleave.weight @w : tensor<4x48x!cleave.q8_0> from none

// -----

// expected-error@+1 {{has a slice of 1 ranges for type 'tensor<4x8xf32>'}}
cleave.weight @w : tensor<4x8xf32> from none slice [0:4]

// -----

// expected-error@+1 {{expected bytes as "0x" and two hexadecimal digits each}}
cleave.weight @w : tensor<1xf32> from dense<[1], "0x0000803">

// -----

// expected-error@+1 {{size -1 is negative}}
cleave.weight @w : tensor<1xf32> from onnx<"m.onnx", "w" as [-1]>

// -----

// expected-error@+1 {{has a source of 4 bytes, but its shape asks for 8}}
cleave.weight @w : tensor<2xf32> from dense<[2], "0x0000803f">

// -----

// expected-error@+1 {{has type 'tensor<2xf32>', but its source has the shape [1]}}
cleave.weight @w : tensor<2xf32> from dense<[1], "0x0000803f">

// -----

// expected-error@+1 {{has type 'tensor<4x2xf32>', but its source has the shape [2, 4]}}
cleave.weight @w : tensor<4x2xf32> from onnx<"m.onnx", "w" as [4, 2] transposed>

// -----

// expected-error@+1 {{has type 'tensor<4xf32>', expected two dims to transpose}}
cleave.weight @w : tensor<4xf32> from onnx<"m.onnx", "w" transposed>

// -----

// expected-error@+1 {{expected plain elements for its source}}
cleave.weight @w : tensor<1x32x!cleave.q8_0> from onnx<"m.onnx", "w" as [1, 32]>

// -----

// expected-error@+1 {{has a source that is too large}}
cleave.weight @w : tensor<1xf32> from dense<[4611686018427387904, 8], "0x"> slice [0:1]

// -----

// expected-error@+1 {{has a slice whose range 4:8 is not of the size 8 of dim 1}}
cleave.weight @w : tensor<4x8xf32> from none slice [0:4, 4:8]

// -----

// expected-error@+1 {{has a sharding of 1 dims for type 'tensor<4x8xf32>'}}
cleave.weight @w : tensor<4x8xf32> from none sharding <[{"tp"}]>

// -----

// expected-error@+1 {{cannot hold partial sums}}
cleave.weight @w : tensor<4x8xf32> from none sharding <[{}, {}], partial = {"tp" : sum}>

// -----

// expected-error@+1 {{attribute 'type' failed to satisfy constraint}}
cleave.weight @w : tensor<4x8xsi32> from none

// -----

func.func @f() {
  // expected-error@+1 {{refers to @w, which is no cleave.weight}}
  %w = cleave.use @w : tensor<4xf32>
  return
}

// -----

// expected-note@+1 {{the weight is declared here}}
cleave.weight @w : tensor<4xf32> from none
func.func @f() {
  // expected-error@+1 {{has type 'tensor<8xf32>', expected 'tensor<4xf32>'}}
  %w = cleave.use @w : tensor<8xf32>
  return
}

// -----

// expected-error@+1 {{expected [slots, context, width] with the first two known at run time}}
cleave.state @s : tensor<?x4xf16, #cleave.dims<slots>>

// -----

// expected-error@+1 {{expected [slots, context, width] with the first two known at run time}}
cleave.state @s : tensor<?x16x4xf16, #cleave.dims<slots>>

// -----

// expected-error@+1 {{has a sharding of 1 dims for type}}
cleave.state @s : tensor<?x?x4xf16, #cleave.dims<slots, context>> sharding <[{}]>

// -----

func.func @f(%x: tensor<4x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{refers to @s, which is no cleave.state}}
  %k = cleave.state_update @s, %x at %i, %i : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x8xf16>
  return
}

// -----

// expected-note@+1 {{the state is declared here}}
cleave.state @s : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @f(%x: tensor<4x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has type 'tensor<?x?x8xf16, #cleave.dims<slots, context>>', expected 'tensor<?x?x8xf32}}
  %k = cleave.state_update @s, %x at %i, %i : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x8xf16, #cleave.dims<slots, context>>
  return
}

// -----

// expected-error @+1 {{expected {bits = .., length = .., scales = ".."}}}
cleave.weight @w : tensor<4x64xf32> from onnx<"m.onnx", "w" blocks {bits = 4, length = 32}>

// -----

// expected-error @+1 {{has a source in blocks of another form}}
cleave.weight @w : tensor<4x64xf32> from onnx<"m.onnx", "w" blocks {bits = 3, length = 32, scales = "s"}>

// -----

// expected-error @+1 {{has type 'tensor<4x64x!cleave.q4_0>', which blocks of 32 integers of 8 bits are not}}
cleave.weight @w : tensor<4x64x!cleave.q4_0> from onnx<"m.onnx", "w" blocks {bits = 8, length = 32, scales = "s"}>
