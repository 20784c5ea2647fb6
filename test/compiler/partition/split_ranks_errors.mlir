// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-split-ranks

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
