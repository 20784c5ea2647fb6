// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-split-ranks

cleave.mesh @mesh <"tp" = 2>
// expected-error@+2 {{an input of type 'tensor<8xi32>' cannot be sharded as #cleave.sharding<[{"tp"}]>; leave it whole}}
func.func @numbers(%w: tensor<8x8xf32> {cleave.sharding = #cleave.sharding<[{}, {}]>},
                   %x: tensor<8xi32> {cleave.sharding = #cleave.sharding<[{"tp"}]>}) {
  %y = cleave.gather %w, %x {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : (tensor<8x8xf32>, tensor<8xi32>) -> tensor<8x8xf32>
  return
}

// -----

func.func @foreign(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{}]>}) {
  // expected-error@+1 {{'cleave.all_reduce' op has no place in the sharded form}}
  %y = cleave.all_reduce sum %x group [0] {cleave.sharding = [#cleave.sharding<[{}]>]} : tensor<4xf32>
  return
}

// -----

// The pass checks the form that it starts from.
// expected-error@+1 {{a value of type 'tensor<4xf32>' has no sharding}}
func.func @bare(%x: tensor<4xf32> {cleave.sharding = #cleave.sharding<[{}]>}, %z: tensor<4xf32>) {
  %y = cleave.add %x, %z {cleave.sharding = [#cleave.sharding<[{}]>]} : tensor<4xf32>, tensor<4xf32>
  return
}
