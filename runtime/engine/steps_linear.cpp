// The step of Linear: the products of one input with one or several weights, the input's
// quantized form, and oneDNN for dense weights and many tokens. Where a graph always has many
// and no states, dense weights are packed for oneDNN at load, with what follows in the product.
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"

#include <algorithm>

namespace cleave::rt {

namespace {

/// One product of a LinearStep.
struct Product {
  LinearArgs args; ///< of the tokens that oneDNN leaves to the kernel
  LinearChoice choice;
  LinearVariant variant; ///< of this run
  Location weight, y;
  int64_t rowBytes = 0;               ///< of a row of the weight
  std::shared_ptr<DenseLinear> dense; ///< null: the kernel does all
  int64_t denseTokens = 0;            ///< of this run: the first ones, which oneDNN takes
  float *boundY = nullptr;

  std::shared_ptr<const PackedMatrix> packed; ///< null: the weight is as it is in its file
  MatMulShape shape;                          ///< of the product with the packed weight
  std::shared_ptr<MatMuls::Product> product;  ///< the same, for this run's tokens
  OutputNumbers numbers;

  /// Reading a row is its cost; one without columns is written nevertheless.
  int64_t rowCost() const { return std::max<int64_t>(rowBytes, 1); }
  int64_t cost() const { return args.outputs * rowCost(); }

  /// How many of the outputs belong to the first `part` of the cost: whole groups, which also
  /// keep kernels' tiles whole.
  int64_t rowsWithin(int64_t part) const {
    if (part >= cost())
      return args.outputs;
    return part <= 0 ? 0 : part / rowCost() / groupRows * groupRows;
  }
};

/// x in a form that kernels read.
struct FormOfX {
  ActivationForm form;
  Location place;
  std::byte *data = nullptr;
  bool isRead = false; ///< in this run
};

/// All products of x in an instruction. x is quantized once, and the threads share the rows
/// of all weights as if they were one, by their bytes.
class LinearStep : public Step {
public:
  std::vector<Product> products;
  std::vector<FormOfX> forms;
  std::shared_ptr<MatMuls> matmuls;
  QuantizeArgs quantize;
  Location x, denseScratch;
  Size tokens;

  void bind(const Memory &memory) override {
    quantize.x = memory.read<float>(x);
    for (FormOfX &form : forms)
      form.data = memory.write<std::byte>(form.place);
    for (Product &product : products) {
      product.args.weight = memory.read<void>(product.weight);
      product.boundY = memory.write<float>(product.y);
      if (product.dense)
        scratch = memory.write<void>(denseScratch);
    }
  }

  void prepare(const int64_t *symbols) override {
    quantize.tokens = tokens(symbols);
    work = 0;
    for (Product &product : products) {
      LinearArgs &args = product.args;
      if (product.packed) {
        product.shape.m = product.denseTokens = quantize.tokens;
        product.product = matmuls->get(product.shape, product.packed.get());
        continue;
      }
      product.denseTokens = product.dense ? DenseLinear::tokensTaken(quantize.tokens) : 0;
      args.tokens = quantize.tokens - product.denseTokens;
      args.x = quantize.x + product.denseTokens * args.xStride;
      args.y = product.boundY + product.denseTokens * args.yStride;
      product.variant = quantize.tokens < manyTokens ? product.choice.few : product.choice.many;
      auto form = std::ranges::find(forms, product.variant.form, &FormOfX::form);
      args.quantized = form == forms.end() ? nullptr : form->data;
      // Without columns there are zeros to be written.
      work += args.tokens * args.outputs * std::max<int64_t>(args.xColumns, 1);
    }
    for (FormOfX &form : forms)
      form.isRead = std::ranges::any_of(
          products, [&](const Product &product) { return product.variant.form == form.form; });
  }

  bool usesLibrary() const override {
    return std::any_of(products.begin(), products.end(),
                       [](const Product &product) { return product.denseTokens > 0; });
  }
  void runLibrary() override {
    for (Product &product : products) {
      if (product.packed) {
        matmuls->run(*product.product,
                     {.a = quantize.x, .c = product.boundY, .bias = product.numbers.offsets()},
                     product.packed.get());
        continue;
      }
      LinearArgs args = product.args;
      args.tokens = product.denseTokens;
      args.x = quantize.x;
      args.y = product.boundY;
      if (args.tokens > 0)
        product.dense->run(args, scratch);
    }
  }

  bool usesTeam() const override {
    return work > 0 || std::ranges::any_of(forms, &FormOfX::isRead);
  }
  bool isSmall() const override { return work < leastSharedWork && forms.empty(); }
  void run(RunContext &context) const override {
    for (const FormOfX &form : forms)
      if (form.isRead) {
        QuantizeArgs args = quantize;
        args.y = form.data;
        runParts(quantizeKernel(form.form), args, args.tokens * args.columns * 2, context);
      }
    if (work == 0)
      return;
    if (partsOf(work, context) == 1)
      context.runAlone([&] { runRows(*this, Part{}); });
    else
      context.runShared(finePartsOf(work, context), [&](Part part) { runRows(*this, part); });
  }

private:
  static void runRows(const LinearStep &step, Part part) {
    int64_t total = 0;
    for (const Product &product : step.products)
      total += product.cost();
    // Fits: 15 weights of 2^48 bytes, and 2^12 parts.
    int64_t begin = total * part.index / part.count;
    int64_t end = total * (part.index + 1) / part.count;
    for (const Product &product : step.products) {
      int64_t first = product.rowsWithin(begin), last = product.rowsWithin(end);
      begin -= product.cost();
      end -= product.cost();
      if (first == last || product.args.tokens == 0)
        continue;
      LinearArgs rows = product.args;
      rows.outputs = last - first;
      rows.weight = static_cast<const std::byte *>(rows.weight) + first * product.rowBytes;
      rows.y += first;
      product.variant.kernel(rows, Part{});
    }
  }

  void *scratch = nullptr;
  int64_t work = 0;
};

} // namespace

LinearChoice StepBuilder::chooseLinear(uint32_t number) const {
  std::optional<LinearChoice> choice =
      rt::chooseLinear(type(number), dimsOf(value(number).dims()).back(),
                       input.options.activations == Activations::quantized);
  if (!choice)
    refuse("there is no matrix product with a weight of " +
           std::string(elementTypeInfo(type(number)).name) + " in this version");
  return *choice;
}

std::shared_ptr<DenseLinear> StepBuilder::denseLinear(int64_t inputs, int64_t outputs,
                                                      int64_t maxTokens) {
  if (inputs == 0 || outputs == 0 || maxTokens < DenseLinear::minTokens)
    return nullptr;
  std::shared_ptr<DenseLinear> &known = denseLinears[{inputs, outputs, maxTokens}];
  if (!known)
    known = std::make_shared<DenseLinear>(inputs, outputs, inputs, outputs, maxTokens);
  return known;
}

bool StepBuilder::canPackLinear(const fb::Instruction &linear, uint32_t i) const {
  std::span<const int64_t> x = dimsOf(value(linear.operands()->Get(0)).dims());
  const uint32_t number = linear.operands()->Get(i);
  std::span<const int64_t> dims = dimsOf(value(number).dims());
  // A language model's steps mostly are of one token, which is quicker with rows.
  const auto *states = input.program.root().states();
  const bool hasStates = states && states->size() > 0;
  // Packing rounds outputs up, of which long sums should have some.
  constexpr int64_t fewOutputs = 16, longSum = 1 << 16;
  return !hasStates && floatsOf(number) && (dims[0] >= fewOutputs || dims[1] <= longSum) &&
         dims[0] > 0 && dims[1] > 0 && dims[1] == x.back() &&
         bytesAtBounds(x.first(x.size() - 1), 1, input.bounds).value_or(0) >=
             DenseLinear::minTokens;
}

void StepBuilder::addLinear(const fb::Linear &op) {
  Matrix x = matrix(operand(0));
  int64_t columns = dimsOf(value(operand(1)).dims())[1]; // of all weights
  auto step = std::make_unique<LinearStep>();
  step->x = x.place;
  step->tokens = x.rows;
  step->matmuls = sharedMatMuls();
  size_t denseBytes = 0;
  for (uint32_t i = 1; i < operandCount(); ++i) {
    const ElementTypeInfo &info = elementTypeInfo(type(operand(i)));
    Product &product = step->products.emplace_back();
    product.choice = chooseLinear(operand(i));
    for (const LinearVariant &variant : {product.choice.few, product.choice.many})
      if (variant.form != ActivationForm::f32 &&
          std::ranges::find(step->forms, variant.form, &FormOfX::form) == step->forms.end())
        step->forms.push_back({variant.form, {}});
    int64_t outputs = dimsOf(value(operand(i)).dims())[0];
    product.args.outputs = product.args.yStride = outputs;
    product.args.inputs = columns;
    product.args.xColumns = product.args.xStride = x.columns;
    product.args.padBefore = op.pad_before();
    product.rowBytes = rowBytes(info, columns).value();
    product.weight = locations[operand(i)];
    product.y = locations[result(i - 1)];
    if (canPackLinear(*instruction, i)) {
      const FusedEpilogue *epilogue = epilogueOf(i - 1);
      if (epilogue)
        product.numbers = outputNumbers(*epilogue, outputs, std::nullopt);
      product.shape = {.m = std::min<int64_t>(rowsAtMost(operand(0)), 256), // to choose for
                       .n = outputs,
                       .k = columns,
                       .transposeB = true,
                       .hasBias = product.numbers.offsets() != nullptr,
                       .epilogue = kernelEpilogue(epilogue)};
      product.packed =
          matmuls->pack(product.shape, floatsOf(operand(i)), product.numbers.factors());
      releaseWeight(operand(i));
    } else if (info.type == ElementType::f32 && x.columns == columns)
      product.dense = denseLinear(columns, outputs, rowsAtMost(operand(0)));
    if (product.dense)
      denseBytes = std::max(denseBytes, product.dense->scratchBytes());
  }
  if (denseBytes > 0)
    step->denseScratch = scratch(static_cast<int64_t>(denseBytes));
  step->quantize.columns = columns;
  step->quantize.xColumns = step->quantize.xStride = x.columns;
  step->quantize.padBefore = op.pad_before();
  for (FormOfX &form : step->forms) {
    // A row's bytes are bounded by a weight's row, the number of rows by x's bytes.
    int64_t bytes = 0;
    if (__builtin_mul_overflow(rowsAtMost(operand(0)), activationRowBytes(form.form, columns),
                               &bytes) ||
        bytes > maxTensorBytes)
      refuse("its quantized input would need more than 2^48 bytes; lower the bounds of its sizes");
    form.place = scratch(bytes);
  }
  add(std::move(step));
}

} // namespace cleave::rt
