// A graph of which a sum over the ranks is never read.
module {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @up : tensor<8x4xf32> from random<1> split [#cleave.split<column "tp">]
  cleave.weight @down : tensor<4x8xf32> from random<2> split [#cleave.split<row "tp">]
  cleave.weight @norm : tensor<4xf32> from random<3> split [#cleave.split<none>]
  func.func @f(%x: tensor<2x4xf32> {cleave.input = "x"}) -> (tensor<2x4xf32> {cleave.output = "y"}) {
    %up = cleave.use @up : tensor<8x4xf32>
    %down = cleave.use @down : tensor<4x8xf32>
    %norm = cleave.use @norm : tensor<4xf32>
    %a = cleave.linear %x, %up : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
    %b = cleave.linear %a, %down : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
    %c = cleave.rms_norm %b, %norm {epsilon = 1.0e-5 : f32} : tensor<2x4xf32>, tensor<4xf32>
    %y = cleave.silu %x : tensor<2x4xf32>
    return %y : tensor<2x4xf32>
  }
}
