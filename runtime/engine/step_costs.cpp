// What each step is, to a profile: its kind and name, and the bytes and FLOPs that its
// instruction needs at least, as expressions of the symbols or, for attention and experts, of
// the positions and choices of the run.
#include "runtime/engine/profile.h"
#include "runtime/engine/step_builder.h"
#include "runtime/program/elementwise.h"

#include <algorithm>
#include <cctype>

namespace cleave::rt {

namespace {

/// A sum of sizes, each with a factor.
class Sum {
public:
  void add(Size size, double factor) { terms.emplace_back(size, factor); }

  double operator()(const int64_t *symbols) const {
    double result = 0;
    for (const auto &[size, factor] : terms)
      result += factor * static_cast<double>(size(symbols));
    return result;
  }

private:
  std::vector<std::pair<Size, double>> terms;
};

/// FLOPs of an element: x * weight / sqrt(mean(x^2) + epsilon).
constexpr double normFlops = 4;

/// "AllReduceAdd" as the dialect spells it.
std::string snakeCase(std::string_view name) {
  std::string result;
  for (char c : name) {
    if (std::isupper(static_cast<unsigned char>(c)) && !result.empty())
      result += '_';
    result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return result;
}

std::string kindOf(const fb::Instruction &instruction) {
  if (const auto *op = instruction.operation_as_Unary())
    return std::string(findUnary(op->kind())->name);
  if (const auto *op = instruction.operation_as_Binary())
    return std::string(findBinary(op->kind())->name);
  return snakeCase(fb::EnumNameOperation(instruction.operation_type()));
}

/// Rows of keys and values that are read, and pairs of a query row and a key.
struct Seen {
  int64_t rows = 0;
  int64_t pairs = 0;
};

/// Tokens of one slot that follow each other read a row once.
Seen seenBy(const int32_t *slots, const int32_t *positions, int64_t tokens, int64_t window) {
  Seen seen;
  int64_t begin = 0, end = 0; // of the slot's rows
  for (int64_t t = 0; t < tokens; ++t) {
    int64_t last = int64_t{positions[t]} + 1;
    int64_t first = window > 0 ? std::max<int64_t>(last - window, 0) : 0;
    seen.pairs += last - first;
    if (t > 0 && slots[t] == slots[t - 1]) {
      begin = std::min(begin, first);
      end = std::max(end, last);
    } else {
      seen.rows += end - begin;
      begin = first;
      end = last;
    }
  }
  seen.rows += end - begin;
  return seen;
}

} // namespace

OpDescription StepBuilder::describe(const Step &step, const Memory &memory) {
  if (step.instruction < 0)
    return {step.kind, "", {}};
  position = step.instruction;
  instruction = input.entry.instructions()->Get(static_cast<uint32_t>(position));
  std::string name = instruction->name() ? instruction->name()->str() : "";
  if (step.kind)
    return {step.kind, name, {}};
  return {kindOf(*instruction), name, work(memory)};
}

std::function<Work(const int64_t *)> StepBuilder::work(const Memory &memory) const {
  Sum bytes, flops;
  auto addBytes = [&](uint32_t number, double times = 1) {
    if (value(number).storage() == fb::Storage::Weight)
      bytes.add(Size(),
                times * static_cast<double>(
                            input.program.root().weights()->Get(value(number).index())->size()));
    else if (value(number).storage() != fb::Storage::State)
      bytes.add(elements(number), times * static_cast<double>(elementBytes(number)));
  };
  auto addAllBytes = [&] {
    for (uint32_t i = 0; i < operandCount(); ++i)
      addBytes(operand(i));
    for (uint32_t i = 0; instruction->results() && i < instruction->results()->size(); ++i)
      addBytes(result(i));
  };

  switch (instruction->operation_type()) {
  // What they move, they move in the communicator's calls, which are counted there.
  case fb::Operation::NONE:
  case fb::Operation::AllReduce:
  case fb::Operation::AllGather:
  case fb::Operation::ReduceScatter:
  case fb::Operation::AllToAll:
  case fb::Operation::Broadcast:
  case fb::Operation::Send:
  case fb::Operation::Recv:
    return {};
  case fb::Operation::Attention:
    return attentionWork(memory);
  case fb::Operation::Moe:
    return moeWork(memory);
  case fb::Operation::Gather: {
    const ElementTypeInfo &info = elementTypeInfo(type(operand(0)));
    addBytes(operand(1));
    addBytes(result(0));
    bytes.add(elements(result(0)), static_cast<double>(info.blockBytes) / info.blockLength);
    break;
  }
  case fb::Operation::StateUpdate:
    addAllBytes();
    bytes.add(elements(operand(1)),
              static_cast<double>(elementTypeInfo(state(operand(0)).type).blockBytes));
    break;
  case fb::Operation::Slice:
  case fb::Operation::Transpose:
  case fb::Operation::Concat:
  case fb::Operation::Take:
  case fb::Operation::GatherElements:
  case fb::Operation::GatherNd:
    addBytes(result(0), 2);
    break;
  case fb::Operation::Expand:
  case fb::Operation::Range:
  case fb::Operation::ScatterElements:
  case fb::Operation::ScatterNd:
    addAllBytes();
    break;
  case fb::Operation::Reshape:
    if (memory.read<std::byte>(locations[operand(0)]) !=
        memory.read<std::byte>(locations[result(0)]))
      addBytes(result(0), 2);
    break;
  case fb::Operation::Linear:
    addAllBytes();
    for (uint32_t i = 1; i < operandCount(); ++i)
      flops.add(elements(result(i - 1)), 2 * static_cast<double>(matrix(operand(0)).columns));
    break;
  case fb::Operation::Conv: {
    addAllBytes();
    std::span<const int64_t> filter = dimsOf(value(operand(1)).dims());
    double products = 1;
    for (int64_t dim : filter.subspan(1))
      products *= static_cast<double>(dim);
    flops.add(elements(result(0)), 2 * products);
    break;
  }
  case fb::Operation::RmsNorm:
    addAllBytes();
    flops.add(elements(operand(0)), normFlops);
    break;
  case fb::Operation::AddNorm:
  case fb::Operation::AllReduceAdd:
    addAllBytes();
    flops.add(elements(operand(0)), operandCount() == 3 ? 1 + normFlops : 1);
    break;
  case fb::Operation::Rope: {
    addAllBytes();
    const auto &op = *instruction->operation_as_Rope();
    // Four products and two sums for a pair.
    flops.add(elements(operand(0)), 3.0 * op.rotary_dim() / op.head_dim());
    break;
  }
  case fb::Operation::Unary:
    addAllBytes();
    flops.add(elements(operand(0)),
              instruction->operation_as_Unary()->kind() == uint8_t(UnaryKind::silu) ? 4 : 1);
    break;
  case fb::Operation::Binary:
    addAllBytes();
    flops.add(elements(result(0)), 1);
    break;
  case fb::Operation::MatMul: {
    addAllBytes();
    const bool transposed = instruction->operation_as_MatMul()->transpose_a();
    std::span<const int64_t> a = dimsOf(value(operand(0)).dims());
    flops.add(elements(result(0)) * Size(a.subspan(a.size() - (transposed ? 2 : 1), 1)), 2);
    break;
  }
  case fb::Operation::DotProductAttention: {
    addAllBytes();
    // A product with each key, a value's with the result.
    const Size keys(dimsOf(value(operand(1)).dims()).subspan(2, 1));
    flops.add(elements(operand(0)) * keys, 2);
    flops.add(elements(result(0)) * keys, 2);
    break;
  }
  case fb::Operation::ConvTranspose: {
    addAllBytes();
    double products = 1;
    for (int64_t dim : dimsOf(value(operand(1)).dims()).subspan(1))
      products *= static_cast<double>(dim);
    flops.add(elements(operand(0)), 2 * products);
    break;
  }
  case fb::Operation::Softmax:
  case fb::Operation::LayerNorm:
    addAllBytes();
    flops.add(elements(operand(0)), normFlops);
    break;
  case fb::Operation::Reduce:
  case fb::Operation::CumulativeSum:
    addAllBytes();
    flops.add(elements(operand(0)), 1);
    break;
  case fb::Operation::Pool:
  case fb::Operation::PoolIndices:
  case fb::Operation::Resize:
  case fb::Operation::ArgReduce:
  case fb::Operation::TopElements:
  case fb::Operation::Where:
  case fb::Operation::Cast:
  case fb::Operation::TopK:
  case fb::Operation::Route:
  case fb::Operation::RouteWeights:
    addAllBytes();
    break;
  }
  return [bytes, flops](const int64_t *symbols) { return Work{bytes(symbols), flops(symbols)}; };
}

std::function<Work(const int64_t *)> StepBuilder::attentionWork(const Memory &memory) const {
  const StatePlace &place = state(operand(1));
  // q and y; a key and a value of each row.
  const double tokenBytes = 2.0 * static_cast<double>(matrix(operand(0)).columns * sizeof(float));
  const double rowBytes =
      2.0 * static_cast<double>(place.width) * elementTypeInfo(place.type).blockBytes;
  // A query's product with a key, and a value's with the result.
  const double pairFlops = 4.0 * static_cast<double>(matrix(operand(0)).columns);
  return [=, slots = memory.read<int32_t>(locations[operand(3)]),
          positions = memory.read<int32_t>(locations[operand(4)]), tokens = elements(operand(4)),
          window =
              int64_t{instruction->operation_as_Attention()->window()}](const int64_t *symbols) {
    int64_t count = tokens(symbols);
    Seen seen = seenBy(slots, positions, count, window);
    return Work{static_cast<double>(count) * tokenBytes + static_cast<double>(seen.rows) * rowBytes,
                static_cast<double>(seen.pairs) * pairFlops};
  };
}

std::function<Work(const int64_t *)> StepBuilder::moeWork(const Memory &memory) const {
  std::vector<bool> isRead(static_cast<size_t>(dimsOf(value(operand(3)).dims())[0]));
  double expertBytes = 0, choiceFlops = 0;
  for (uint32_t i = 3; i <= 5; ++i) {
    std::span<const int64_t> dims = dimsOf(value(operand(i)).dims());
    const fb::Weight &weight = *input.program.root().weights()->Get(value(operand(i)).index());
    expertBytes +=
        static_cast<double>(weight.size()) / static_cast<double>(std::max<int64_t>(dims[0], 1));
    choiceFlops += 2.0 * static_cast<double>(dims[1]) * static_cast<double>(dims[2]);
  }
  const double tokenBytes =
      static_cast<double>((matrix(operand(0)).columns + matrix(result(0)).columns) * sizeof(float));
  return [=, chosen = memory.read<int32_t>(locations[operand(1)]), choices = elements(operand(1)),
          tokens = matrix(operand(0)).rows,
          first = instruction->operation_as_Moe()->first_expert()](const int64_t *symbols) mutable {
    std::fill(isRead.begin(), isRead.end(), false);
    int64_t own = 0;
    for (int64_t i = 0, count = choices(symbols); i < count; ++i) {
      int64_t expert = chosen[i] - first;
      if (expert < 0 || expert >= static_cast<int64_t>(isRead.size()))
        continue;
      isRead[static_cast<size_t>(expert)] = true;
      ++own;
    }
    auto experts = static_cast<double>(std::count(isRead.begin(), isRead.end(), true));
    return Work{static_cast<double>(tokens(symbols)) * tokenBytes + experts * expertBytes,
                static_cast<double>(own) * choiceFlops};
  };
}

} // namespace cleave::rt
