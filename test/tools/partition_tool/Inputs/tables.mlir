// Rows of a table, and columns of another one, that are looked up and moved on.
cleave.weight @rows : tensor<12x8xf32> from random<1>
cleave.weight @columns : tensor<8x12xf32> from random<2>
cleave.weight @up : tensor<6x8xf32> from random<3>
func.func @main(%i: tensor<5xi64> {cleave.input = "i"}, %j: tensor<8xi64> {cleave.input = "j"})
    -> (tensor<5x6xf32> {cleave.output = "y"}, tensor<8x6xf32> {cleave.output = "z"}) {
  %rows = cleave.use @rows : tensor<12x8xf32>
  %columns = cleave.use @columns : tensor<8x12xf32>
  %up = cleave.use @up : tensor<6x8xf32>
  %a = cleave.take %rows, %i dim 0 {cleave.name = "a"} : (tensor<12x8xf32>, tensor<5xi64>) -> tensor<5x8xf32>
  %b = cleave.tanh %a {cleave.name = "b"} : tensor<5x8xf32>
  %c = cleave.take %columns, %j dim 1 {cleave.name = "c"} : (tensor<8x12xf32>, tensor<8xi64>) -> tensor<8x8xf32>
  %d = cleave.tanh %c {cleave.name = "d"} : tensor<8x8xf32>
  %y = cleave.linear %b, %up {cleave.name = "y"} : (tensor<5x8xf32>, tensor<6x8xf32>) -> tensor<5x6xf32>
  %z = cleave.linear %d, %up {cleave.name = "z"} : (tensor<8x8xf32>, tensor<6x8xf32>) -> tensor<8x6xf32>
  return %y, %z : tensor<5x6xf32>, tensor<8x6xf32>
}
