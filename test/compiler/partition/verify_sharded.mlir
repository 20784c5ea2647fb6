// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-verify-sharded

// A module in the sharded form: column, row, reshard.
cleave.mesh @mesh <"tp" = 2>
cleave.weight @up : tensor<6x4xf32> from none sharding <[{"tp"}, {}]>
cleave.weight @down : tensor<4x6xf32> from none sharding <[{}, {"tp"}]>
func.func @good(%x: tensor<4x4xf32> {cleave.sharding = #cleave.sharding<[{}, {}]>}) {
  %up = cleave.use @up {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : tensor<6x4xf32>
  %down = cleave.use @down {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]} : tensor<4x6xf32>
  %u = cleave.linear %x, %up {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]} : (tensor<4x4xf32>, tensor<6x4xf32>) -> tensor<4x6xf32>
  %p = cleave.linear %u, %down {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x4xf32>
  %s = cleave.add %p, %p {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]} : tensor<4x4xf32>, tensor<4x4xf32>
  %r = cleave.reshard %s {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<4x4xf32>
  return
}

// -----

// expected-error@+1 {{a value of type 'tensor<4xf32>' has no sharding}}
func.func @argument_without(%x: tensor<4xf32>) {
  return
}

// -----

// expected-error@+1 {{a value has type 'i32', expected a ranked tensor}}
func.func @scalar(%x: i32) {
  return
}

// -----

func.func @result_without(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{}]>}) {
  // expected-error@+1 {{a value of type 'tensor<4xf32>' has no sharding}}
  %y = cleave.silu %x : tensor<4xf32>
  return
}

// -----

cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{a value is sharded over axis "dp", which the mesh does not have}}
func.func @unknown_axis(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{"dp"}]>}) {
  return
}

// -----

// expected-error@+1 {{a value is sharded over axis "tp", which the mesh does not have}}
func.func @unknown_partial_axis(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{}], partial = {"tp" : sum}>}) {
  return
}

// -----

cleave.mesh @mesh <"tp" = 3>
// expected-error@+1 {{dim 0 of size 4 is split evenly into 3 shares, which does not go; give ranges}}
func.func @uneven(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{"tp"}]>}) {
  return
}

// -----

cleave.mesh @mesh <"tp" = 3>
// expected-error@+1 {{dim 0 has 2 ranges for 3 shares}}
func.func @too_few_ranges(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{"tp" : [0:2, 2:4]}]>}) {
  return
}

// -----

cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{range 2:5 lies outside dim 0 of size 4}}
func.func @outside(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{"tp" : [0:2, 2:5]}]>}) {
  return
}

// -----

// Elements that nobody holds are lost.
cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{dim 0 of size 4 has ranges that cover it up to 1 only}}
func.func @hole(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{"tp" : [0:1, 2:4]}]>}) {
  return
}

// -----

cleave.mesh @mesh <"tp" = 2>
func.func @whole_dim_cut(%x: tensor<4x8xf32> {cleave.sharding = #cleave.sharding<[{}, {"tp"}]>},
                         %w: tensor<8xf32> {cleave.sharding = #cleave.sharding<[{}]>}) {
  // expected-error@+1 {{is given a value of type 'tensor<4x8xf32>' sharded as #cleave.sharding<[{}, {"tp"}]>, but needs that dim whole}}
  %y = cleave.rms_norm %x, %w {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>], epsilon = 1.0 : f32} : tensor<4x8xf32>, tensor<8xf32>
  return
}

// -----

cleave.mesh @mesh <"tp" = 2>
func.func @cut_otherwise(%x: tensor<4x8xf32> {cleave.sharding = #cleave.sharding<[{}, {"tp"}]>}) {
  // expected-error@+1 {{has dims that must be cut alike, but one is #cleave.dim<{"tp"}> and another #cleave.dim<{}>}}
  %y = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<4x8xf32>
  return
}

// -----

// The same axis, other places.
cleave.mesh @mesh <"tp" = 2>
func.func @cut_elsewhere(%x: tensor<4x8xf32> {cleave.sharding = #cleave.sharding<[{}, {"tp"}]>}) {
  // expected-error@+1 {{has dims that must be cut alike, but one is #cleave.dim<{"tp"}> and another #cleave.dim<{"tp" : [0:3, 3:8]}>}}
  %y = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:3, 3:8]}]>]} : tensor<4x8xf32>
  return
}

// -----

cleave.mesh @mesh <"tp" = 2>
func.func @not_linear(%x: tensor<4x8xf32> {cleave.sharding = #cleave.sharding<[{}, {}], partial = {"tp" : sum}>}) {
  // expected-error@+1 {{reads a partial sum #cleave.sharding<[{}, {}], partial = {"tp" : sum}> as a whole value}}
  %y = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<4x8xf32>
  return
}

// -----

// A whole value must not be added once a rank.
cleave.mesh @mesh <"tp" = 2>
func.func @linear_in_both(%x: tensor<4x8xf32> {cleave.sharding = #cleave.sharding<[{}, {}], partial = {"tp" : sum}>},
                          %y: tensor<4x8xf32> {cleave.sharding = #cleave.sharding<[{}, {}]>}) {
  // expected-error@+1 {{reads a partial sum}}
  %z = cleave.add %x, %y {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]} : tensor<4x8xf32>, tensor<4x8xf32>
  return
}

// -----

cleave.mesh @mesh <"tp" = 2>
func.func @forgotten_partial(%x: tensor<4x8xf32> {cleave.sharding = #cleave.sharding<[{}, {"tp"}]>},
                             %w: tensor<6x8xf32> {cleave.sharding = #cleave.sharding<[{}, {"tp"}]>}) {
  // expected-error@+1 {{gives a partial sum over 1 axes, but its result is sharded as #cleave.sharding<[{}, {}]>}}
  %y = cleave.linear %x, %w {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>
  return
}

// -----

cleave.mesh @mesh <"tp" = 2>
func.func @invented_partial(%x: tensor<4x8xf32> {cleave.sharding = #cleave.sharding<[{}, {}]>}) {
  // expected-error@+1 {{gives a partial sum over 0 axes, but its result is sharded as #cleave.sharding<[{}, {}], partial = {"tp" : sum}>}}
  %y = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]} : tensor<4x8xf32>
  return
}

// -----

func.func @no_transfer(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{}]>}) {
  // expected-note@+1 {{the value is made here}}
  %y = cleave.silu %x {cleave.stage = 0 : i64, cleave.sharding = [#cleave.sharding<[{}]>]} : tensor<4xf32>
  // expected-error@+1 {{of stage 1 reads a value of stage 0 without a transfer}}
  %z = cleave.silu %y {cleave.stage = 1 : i64, cleave.sharding = [#cleave.sharding<[{}]>]} : tensor<4xf32>
  return
}

// -----

func.func @transfer_elsewhere(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{}]>}) {
  %y = cleave.silu %x {cleave.stage = 0 : i64, cleave.sharding = [#cleave.sharding<[{}]>]} : tensor<4xf32>
  // expected-note@+1 {{the value is made here}}
  %t = cleave.transfer %y to 1 {cleave.stage = 0 : i64, cleave.sharding = [#cleave.sharding<[{}]>]} : tensor<4xf32>
  // expected-error@+1 {{of stage 2 reads a value of stage 1 without a transfer}}
  %z = cleave.silu %t {cleave.stage = 2 : i64, cleave.sharding = [#cleave.sharding<[{}]>]} : tensor<4xf32>
  return
}

// -----

// A transfer moves a value between stages, not between shardings.
cleave.mesh @mesh <"tp" = 2>
func.func @transfer_reshards(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{}]>}) {
  %y = cleave.silu %x {cleave.stage = 0 : i64, cleave.sharding = [#cleave.sharding<[{}]>]} : tensor<4xf32>
  // expected-error@+1 {{changes the sharding #cleave.sharding<[{}]> to #cleave.sharding<[{"tp"}]>}}
  %t = cleave.transfer %y to 1 {cleave.stage = 0 : i64, cleave.sharding = [#cleave.sharding<[{"tp"}]>]} : tensor<4xf32>
  return
}

// -----

// A weight lies as it is declared.
cleave.mesh @mesh <"tp" = 2>
// expected-note@+1 {{the declaration is here}}
cleave.weight @w : tensor<4x4xf32> from none sharding <[{}, {}]>
func.func @use_reshards() {
  // expected-error@+1 {{is sharded as #cleave.sharding<[{"tp"}, {}]>, which is not how its weight is declared}}
  %w = cleave.use @w {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : tensor<4x4xf32>
  return
}

// -----

// Results are whole, for every rank of the last stage gives them.
cleave.mesh @mesh <"tp" = 2>
func.func @result(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{"tp"}]>}) -> tensor<4xf32> {
  // expected-error@+1 {{gives a value sharded as #cleave.sharding<[{"tp"}]>, expected a whole one}}
  return %x : tensor<4xf32>
}

// -----

// A whole value cannot become a partial sum.
cleave.mesh @mesh <"tp" = 2>
func.func @unreduce(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{}]>}) {
  // expected-error@+1 {{makes a partial sum over axis "tp" of a value that is none}}
  %y = cleave.reshard %x {cleave.sharding = [#cleave.sharding<[{}], partial = {"tp" : sum}>]} : tensor<4xf32>
  return
}

// -----

cleave.mesh @mesh <"tp" = 2>
#cache = #cleave.dims<slots, context>
// expected-note@+1 {{the declaration is here}}
cleave.state @s : tensor<?x?x4xf32, #cache> sharding <[{}, {}, {}]>
func.func @state_reshards(%x: tensor<4x4xf32> {cleave.sharding = #cleave.sharding<[{}, {"tp"}]>}, %p: tensor<4xi32> {cleave.sharding = #cleave.sharding<[{}]>}) {
  // expected-error@+1 {{is sharded as #cleave.sharding<[{}, {}, {"tp"}]>, which is not how its state is declared}}
  %s = cleave.state_update @s, %x at %p, %p {cleave.sharding = [#cleave.sharding<[{}, {}, {"tp"}]>]} : (tensor<4x4xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x4xf32, #cache>
  return
}

// -----

// As many stages as ranks can be numbered.
cleave.mesh @mesh <"tp" = 2>
func.func @late(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{}]>}) {
  // expected-error@+1 {{has stage 1000000000000, expected 0 to 32767}}
  %y = cleave.silu %x {cleave.stage = 1000000000000 : i64, cleave.sharding = [#cleave.sharding<[{}]>]} : tensor<4xf32>
  return
}

// -----

func.func @early(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{}]>}) {
  // expected-error@+1 {{has stage -1, expected 0 to 65535}}
  %y = cleave.silu %x {cleave.stage = -1 : i64, cleave.sharding = [#cleave.sharding<[{}]>]} : tensor<4xf32>
  return
}

// -----

func.func @far(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{}]>}) {
  // expected-error@+1 {{has stage 65536, expected 0 to 65535}}
  %y = cleave.transfer %x to 65536 {cleave.stage = 0 : i64, cleave.sharding = [#cleave.sharding<[{}]>]} : tensor<4xf32>
  return
}

// -----

// What is partial in one way is not partial in another.
cleave.mesh @mesh <"tp" = 2>
func.func @other_kind(%x: tensor<4x3x2xf32> {cleave.sharding = #cleave.sharding<[{}, {}, {}], partial = {"tp" : top}>}) {
  // expected-error@+1 {{makes a partial sum over axis "tp" of a value that is none}}
  %y = cleave.reshard %x {cleave.sharding = [#cleave.sharding<[{}, {}, {}], partial = {"tp" : sum}>]} : tensor<4x3x2xf32>
  return
}

// -----

cleave.mesh @mesh <"tp" = 2>
func.func @linear_in_sums_only(%x: tensor<4x3x2xf32> {cleave.sharding = #cleave.sharding<[{}, {}, {}], partial = {"tp" : top}>}) {
  // expected-error@+1 {{reads a rank's own candidates #cleave.sharding<[{}, {}, {}], partial = {"tp" : top}> as a whole value}}
  %y = cleave.add %x, %x {cleave.sharding = [#cleave.sharding<[{}, {}, {}], partial = {"tp" : top}>]} : tensor<4x3x2xf32>, tensor<4x3x2xf32>
  return
}

// -----

cleave.mesh @mesh <"tp" = 2>
func.func @candidates_are_no_sum(%x: tensor<4x8xf32> {cleave.sharding = #cleave.sharding<[{}, {"tp"}]>}) {
  // expected-error@+1 {{gives a rank's own candidates over 1 axes, but its result is sharded as #cleave.sharding<[{}, {}, {}], partial = {"tp" : sum}>}}
  %y = cleave.top_k %x {cleave.sharding = [#cleave.sharding<[{}, {}, {}], partial = {"tp" : sum}>]} : tensor<4x8xf32> -> tensor<4x3x2xf32>
  return
}

// -----

// A run-time size is split evenly, and ops of tokens work on shares of them.
cleave.mesh @mesh <"tp" = 2>
func.func @tokens(%x: tensor<?x4xf32, #cleave.dims<tokens>> {cleave.sharding = #cleave.sharding<[{"tp"}, {}]>}) {
  %y = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : tensor<?x4xf32, #cleave.dims<tokens>>
  return
}

// -----

cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{run-time dim 0 of 'tensor<?x4xf32, #cleave.dims<tokens>>' has ranges; it can be split evenly only}}
func.func @ranges(%x: tensor<?x4xf32, #cleave.dims<tokens>> {cleave.sharding = #cleave.sharding<[{"tp" : [0:1, 1:2]}, {}]>}) {
  return
}

// -----

// expected-error@+1 {{a value has type 'tensor<?x4xf32, #cleave.dims<tokens[0 of 2]>>', a share, which has no place in the sharded form}}
func.func @share(%x: tensor<?x4xf32, #cleave.dims<tokens[0 of 2]>> {cleave.sharding = #cleave.sharding<[{}, {}]>}) {
  return
}

// -----

// Rows are chosen of all tokens.
cleave.mesh @mesh <"tp" = 2>
func.func @rows(%x: tensor<?x4xf32, #cleave.dims<tokens>> {cleave.sharding = #cleave.sharding<[{"tp"}, {}]>},
                %rows: tensor<?xi32, #cleave.dims<rows>> {cleave.sharding = #cleave.sharding<[{}]>}) {
  // expected-error@+1 {{but needs that dim whole}}
  %y = cleave.gather %x, %rows {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : (tensor<?x4xf32, #cleave.dims<tokens>>, tensor<?xi32, #cleave.dims<rows>>) -> tensor<?x4xf32, #cleave.dims<rows>>
  return
}
