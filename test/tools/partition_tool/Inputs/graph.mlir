// A feed-forward block with two entries, split over two ranks as it stands.
cleave.mesh @grid <"tp" = 2>
cleave.weight @up : tensor<12x8xf32> from random<7> split [#cleave.split<column "tp">]
cleave.weight @down : tensor<8x12xf32> from random<7> split [#cleave.split<row "tp">]

func.func @half(%x: tensor<?x8xf32, #cleave.dims<n>> {cleave.input = "x"})
    -> (tensor<?x12xf32, #cleave.dims<n>> {cleave.output = "y"}) {
  %w = cleave.use @up : tensor<12x8xf32>
  %y = cleave.linear %x, %w {cleave.name = "up"}
    : (tensor<?x8xf32, #cleave.dims<n>>, tensor<12x8xf32>) -> tensor<?x12xf32, #cleave.dims<n>>
  return %y : tensor<?x12xf32, #cleave.dims<n>>
}

func.func @both(%x: tensor<?x8xf32, #cleave.dims<n>> {cleave.input = "x"})
    -> (tensor<?x12xf32, #cleave.dims<n>> {cleave.output = "y"},
        tensor<?x8xf32, #cleave.dims<n>> {cleave.output = "z"}) {
  %w = cleave.use @up : tensor<12x8xf32>
  %u = cleave.linear %x, %w {cleave.name = "up"}
    : (tensor<?x8xf32, #cleave.dims<n>>, tensor<12x8xf32>) -> tensor<?x12xf32, #cleave.dims<n>>
  %y = cleave.silu %u {cleave.name = "silu"} : tensor<?x12xf32, #cleave.dims<n>>
  %v = cleave.use @down : tensor<8x12xf32>
  %d = cleave.linear %y, %v {cleave.name = "down"}
    : (tensor<?x12xf32, #cleave.dims<n>>, tensor<8x12xf32>) -> tensor<?x8xf32, #cleave.dims<n>>
  %z = cleave.add %x, %d {cleave.name = "residual"}
    : tensor<?x8xf32, #cleave.dims<n>>, tensor<?x8xf32, #cleave.dims<n>>
  return %y, %z : tensor<?x12xf32, #cleave.dims<n>>, tensor<?x8xf32, #cleave.dims<n>>
}
