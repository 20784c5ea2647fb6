// RUN: cleave-opt %s -cleave-apply-plan="tp=2" | FileCheck %s --check-prefix=DEFAULT
// RUN: cleave-opt %s -cleave-apply-plan="tp=2 split=blk.*.ffn_*.weight=none,blk.0.ffn_down.weight=column" | FileCheck %s --check-prefix=FIRST
// RUN: cleave-opt %s -cleave-apply-plan="mesh=data=2;tp=3 split=output.weight=row@data" | FileCheck %s --check-prefix=AXES
// RUN: cleave-opt %s -cleave-apply-plan="mesh=data=2;tp=3 split=blk.0.ffn_*.weight=column@data+row@tp,output.weight=column@tp+column@data" | FileCheck %s --check-prefix=BOTH
// RUN: cleave-opt %s -cleave-apply-plan="mesh=x=2;y=3 split=output.weight=row@x" | FileCheck %s --check-prefix=NODEFAULT
// RUN: cleave-opt %s -cleave-apply-plan | FileCheck %s --check-prefix=ONE
// RUN: cleave-opt %s -cleave-apply-plan="cut=blk.1" | FileCheck %s --check-prefix=BLOCK
// RUN: cleave-opt %s -cleave-apply-plan="cut=blk.0.ffn_silu,output" | FileCheck %s --check-prefix=OP
// RUN: cleave-opt %s -cleave-apply-plan="cut=blk.0.ffn_down.weight" | FileCheck %s --check-prefix=WEIGHT
// RUN: cleave-opt %s -cleave-apply-plan="stages=2" | FileCheck %s --check-prefix=TWO
// RUN: cleave-opt %s -cleave-apply-plan="stages=3" | FileCheck %s --check-prefix=THREE
// RUN: echo "mesh: {tp: 2}" > %t.yaml
// RUN: echo "split: [{weights: 'output.weight', type: none}]" >> %t.yaml
// RUN: echo "shares: {tp: [2, 1]}" >> %t.yaml
// RUN: cleave-opt %s -cleave-apply-plan="plan=%t.yaml" | FileCheck %s --check-prefix=FILE

#tokens = #cleave.dims<tokens>

// The default plan of the family: what it cuts, over the axis tp.
// DEFAULT: cleave.plan = "mesh: {tp: 2}\0A"
// DEFAULT: cleave.mesh @mesh <"tp" = 2>{{$}}
// DEFAULT-DAG: cleave.weight @token_embd.weight {{.*}} split [#cleave.split<column "tp">]
// DEFAULT-DAG: cleave.weight @blk.0.attn_q.weight {{.*}} split [#cleave.split<head "tp">]
// DEFAULT-DAG: cleave.weight @blk.0.attn_k.weight {{.*}} split [#cleave.split<head "tp">]
// DEFAULT-DAG: cleave.weight @blk.0.attn_v.weight {{.*}} split [#cleave.split<head "tp">]
// DEFAULT-DAG: cleave.weight @blk.0.attn_output.weight {{.*}} split [#cleave.split<row "tp">]
// DEFAULT-DAG: cleave.weight @blk.0.ffn_norm.weight {{.*}} split [#cleave.split<none>]
// DEFAULT-DAG: cleave.weight @blk.0.ffn_gate.weight {{.*}} split [#cleave.split<column "tp">]
// DEFAULT-DAG: cleave.weight @blk.0.ffn_up.weight {{.*}} split [#cleave.split<column "tp">]
// DEFAULT-DAG: cleave.weight @blk.0.ffn_down.weight {{.*}} split [#cleave.split<row "tp">]
// DEFAULT-DAG: cleave.weight @blk.1.ffn_down.weight {{.*}} split [#cleave.split<row "tp">]
// DEFAULT-DAG: cleave.weight @output.weight {{.*}} split [#cleave.split<column "tp">]
// DEFAULT-DAG: cleave.weight @other : tensor<8xf32> from none{{$}}
// DEFAULT-NOT: cleave.cut

// The user's entries come first, the first that matches wins, and the family's default
// fills in the rest.
// FIRST-DAG: cleave.weight @blk.0.attn_q.weight {{.*}} split [#cleave.split<head "tp">]
// FIRST-DAG: cleave.weight @blk.0.ffn_norm.weight {{.*}} split [#cleave.split<none>]
// FIRST-DAG: cleave.weight @blk.0.ffn_gate.weight {{.*}} split [#cleave.split<none>]
// FIRST-DAG: cleave.weight @blk.0.ffn_up.weight {{.*}} split [#cleave.split<none>]
// FIRST-DAG: cleave.weight @blk.0.ffn_down.weight {{.*}} split [#cleave.split<none>]

// AXES: cleave.mesh @mesh <"data" = 2, "tp" = 3>
// AXES-DAG: cleave.weight @blk.0.attn_q.weight {{.*}} split [#cleave.split<head "tp">]
// AXES-DAG: cleave.weight @output.weight {{.*}} split [#cleave.split<row "data">]

// Two axes cut two dims, or one dim, major first.
// BOTH-DAG: cleave.weight @blk.0.ffn_gate.weight {{.*}} split [#cleave.split<column "data">, #cleave.split<row "tp">]
// BOTH-DAG: cleave.weight @output.weight {{.*}} split [#cleave.split<column "tp">, #cleave.split<column "data">]
// BOTH-DAG: cleave.weight @blk.0.attn_q.weight {{.*}} split [#cleave.split<head "tp">]

// With several axes of which none is tp, the family's default plan says nothing.
// NODEFAULT-DAG: cleave.weight @output.weight {{.*}} split [#cleave.split<row "x">]
// NODEFAULT-DAG: cleave.weight @blk.0.attn_q.weight : tensor<8x8xf32> from none{{$}}
// NODEFAULT-DAG: cleave.weight @blk.0.attn_norm.weight : tensor<8xf32> from none{{$}}

// Without a plan there is one rank and nothing is written.
// ONE-NOT: cleave.plan
// ONE-NOT: cleave.mesh
// ONE-NOT: split
// ONE-NOT: cleave.cut

// A cut stands before the block's first op ...
// BLOCK-COUNT-1: cleave.cut
// BLOCK-NOT: cleave.cut
// BLOCK: %blk.1.attn_norm = cleave.rms_norm
// ... or before the named ops ...
// OP: cleave.linear {{.*}} {cleave.name = "blk.0.ffn_gate"}
// OP-NEXT: cleave.cut "blk.0.ffn_silu"
// OP-NEXT: cleave.silu {{.*}} {cleave.name = "blk.0.ffn_silu"}
// OP: cleave.cut "output"
// OP-NEXT: cleave.linear {{.*}} {cleave.name = "output"}
// ... or before the op that reads the weight.
// WEIGHT: cleave.cut "blk.0.ffn_down.weight"
// WEIGHT-NEXT: cleave.linear {{.*}} {cleave.name = "blk.0.ffn_down"}

// Work is the bytes of the weights that a token reads: those of the head count, of the
// embedding's table one row. Blocks of 208, 72 and 72 elements and a head of 800: the
// second stage begins where the work before it, 208 or 280, is nearest half of 1152.
// TWO: cleave.name = "blk.1.ffn_down"
// TWO-NOT: cleave.name
// TWO: cleave.cut "blk.2"
// TWO-NEXT: cleave.name = "blk.2.attn_norm"
// THREE: cleave.cut "blk.1"
// THREE: cleave.name = "blk.1.attn_norm"
// THREE: cleave.cut "blk.2"
// THREE-NOT: cleave.cut
// THREE: cleave.name = "blk.2.attn_norm"

// FILE: cleave.plan = "mesh: {tp: 2}\0Asplit:\0A{{.*}}output.weight{{.*}}none{{.*}}shares: {tp: [2, 1]}\0A"
// FILE: cleave.mesh @mesh <"tp" = 2> shares {tp = array<i64: 2, 1>}
// FILE: cleave.weight @output.weight {{.*}} split [#cleave.split<none>]

module attributes {cleave.model = {architecture = "llama", context_length = 16 : i64, vocabulary = 100 : i64}} {
  cleave.weight @token_embd.weight : tensor<100x8xf32> from none
  cleave.weight @other : tensor<8xf32> from none
  cleave.weight @blk.0.attn_norm.weight : tensor<8xf32> from none
  cleave.weight @blk.0.attn_q.weight : tensor<8x8xf32> from none
  cleave.weight @blk.0.attn_k.weight : tensor<8x8xf32> from none
  cleave.weight @blk.0.attn_v.weight : tensor<8x8xf32> from none
  cleave.weight @blk.0.attn_output.weight : tensor<8x8xf32> from none
  cleave.weight @blk.0.ffn_norm.weight : tensor<8xf32> from none
  cleave.weight @blk.0.ffn_gate.weight : tensor<12x8xf32> from none
  cleave.weight @blk.0.ffn_up.weight : tensor<12x8xf32> from none
  cleave.weight @blk.0.ffn_down.weight : tensor<8x12xf32> from none
  cleave.weight @blk.1.attn_norm.weight : tensor<8xf32> from none
  cleave.weight @blk.1.ffn_down.weight : tensor<8x8xf32> from none
  cleave.weight @blk.2.attn_norm.weight : tensor<8xf32> from none
  cleave.weight @blk.2.ffn_down.weight : tensor<8x8xf32> from none
  cleave.weight @output.weight : tensor<100x8xf32> from none

  func.func @step(%tokens: tensor<?xi32, #tokens> {cleave.input = "tokens"})
      -> (tensor<?x100xf32, #tokens> {cleave.output = "logits"}) {
    %e = cleave.use @token_embd.weight : tensor<100x8xf32>
    %x0 = cleave.gather %e, %tokens {cleave.name = "token_embd"} : (tensor<100x8xf32>, tensor<?xi32, #tokens>) -> tensor<?x8xf32, #tokens>
    %n0 = cleave.use @blk.0.attn_norm.weight : tensor<8xf32>
    %h0 = cleave.rms_norm %x0, %n0 {cleave.name = "blk.0.attn_norm", epsilon = 1.0e-5 : f32} : tensor<?x8xf32, #tokens>, tensor<8xf32>
    %o = cleave.use @other : tensor<8xf32>
    %h1 = cleave.add %h0, %o {cleave.name = "blk.0.bias"} : tensor<?x8xf32, #tokens>, tensor<8xf32>
    %g = cleave.use @blk.0.ffn_gate.weight : tensor<12x8xf32>
    %d = cleave.use @blk.0.ffn_down.weight : tensor<8x12xf32>
    %a0 = cleave.linear %h1, %g {cleave.name = "blk.0.ffn_gate"} : (tensor<?x8xf32, #tokens>, tensor<12x8xf32>) -> tensor<?x12xf32, #tokens>
    %s0 = cleave.silu %a0 {cleave.name = "blk.0.ffn_silu"} : tensor<?x12xf32, #tokens>
    %b0 = cleave.linear %s0, %d {cleave.name = "blk.0.ffn_down"} : (tensor<?x12xf32, #tokens>, tensor<8x12xf32>) -> tensor<?x8xf32, #tokens>
    %n1 = cleave.use @blk.1.attn_norm.weight : tensor<8xf32>
    %d1 = cleave.use @blk.1.ffn_down.weight : tensor<8x8xf32>
    %h2 = cleave.rms_norm %b0, %n1 {cleave.name = "blk.1.attn_norm", epsilon = 1.0e-5 : f32} : tensor<?x8xf32, #tokens>, tensor<8xf32>
    %x1 = cleave.linear %h2, %d1 {cleave.name = "blk.1.ffn_down"} : (tensor<?x8xf32, #tokens>, tensor<8x8xf32>) -> tensor<?x8xf32, #tokens>
    %n2 = cleave.use @blk.2.attn_norm.weight : tensor<8xf32>
    %d2 = cleave.use @blk.2.ffn_down.weight : tensor<8x8xf32>
    %h3 = cleave.rms_norm %x1, %n2 {cleave.name = "blk.2.attn_norm", epsilon = 1.0e-5 : f32} : tensor<?x8xf32, #tokens>, tensor<8xf32>
    %x2 = cleave.linear %h3, %d2 {cleave.name = "blk.2.ffn_down"} : (tensor<?x8xf32, #tokens>, tensor<8x8xf32>) -> tensor<?x8xf32, #tokens>
    %w = cleave.use @output.weight : tensor<100x8xf32>
    %l = cleave.linear %x2, %w {cleave.name = "output"} : (tensor<?x8xf32, #tokens>, tensor<100x8xf32>) -> tensor<?x100xf32, #tokens>
    return %l : tensor<?x100xf32, #tokens>
  }
}
