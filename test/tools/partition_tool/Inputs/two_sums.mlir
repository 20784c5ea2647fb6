// Two products that are each cut in their inputs.
module {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @a : tensor<4x8xf32> from random<1> split [#cleave.split<row "tp">]
  cleave.weight @b : tensor<4x8xf32> from random<2> split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"}, %z: tensor<2x8xf32> {cleave.input = "z"})
      -> (tensor<2x4xf32> {cleave.output = "y"}) {
    %wa = cleave.use @a : tensor<4x8xf32>
    %wb = cleave.use @b : tensor<4x8xf32>
    %a = cleave.linear %x, %wa : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
    %c = cleave.silu %a : tensor<2x4xf32>
    %b = cleave.linear %z, %wb : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
    %d = cleave.silu %b : tensor<2x4xf32>
    %y = cleave.mul %c, %d : tensor<2x4xf32>, tensor<2x4xf32>
    return %y : tensor<2x4xf32>
  }
}
