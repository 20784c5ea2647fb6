// Gather against the reference, and dequantization against golden values of the
// `gguf` Python package (data/make_dequantize_golden.py).
#include "test_support.h"

#include "runtime/kernels/gather.h"

#include <fstream>
#include <sstream>
#include <string>

namespace cleave::rt {
namespace {

class Gather : public testing::TestWithParam<ElementType> {};

TEST_P(Gather, CopiesRowsExactly) {
  const int64_t length = elementTypeInfo(GetParam()).blockLength;
  for (int64_t columns :
       length > 1 ? std::vector<int64_t>{length, 3 * length} : std::vector<int64_t>{1, 32, 77}) {
    Random random(1);
    const int64_t rows = 9;
    const TestWeight weight = makeWeight(GetParam(), rows * columns, random);
    const GuardedBytes inRows(weight.bytes), interleaved(packed(GetParam(), weight.bytes, rows));
    // Rows 20..28 are here; those outside give zeros.
    const std::vector<int32_t> indices = {20, 28, 19, 29, 24, -1, 2147483647, 24, 0};
    GatherArgs args{.type = GetParam(),
                    .indices = indices.data(),
                    .rows = rows,
                    .columns = columns,
                    .tokens = static_cast<int64_t>(indices.size()),
                    .offset = 20,
                    .yStride = columns + 2,
                    .masked = true};
    forEachTarget([&] {
      for (Layout layout : {Layout::rows, matrixLayout(GetParam())})
        for (int parts : partCounts) {
          args.layout = layout;
          args.source = layout == Layout::rows ? inRows.data() : interleaved.data();
          std::vector<float> y(args.tokens * args.yStride, 77.0f);
          args.y = y.data();
          runParts(gather, args, parts);
          for (int64_t t = 0; t < args.tokens; ++t)
            for (int64_t c = 0; c < args.yStride; ++c) {
              const int64_t row = int64_t{indices[t]} - 20;
              const bool here = row >= 0 && row < rows;
              ASSERT_EQ(y[t * args.yStride + c], c >= columns ? 77.0
                                                 : here       ? weight.values[row * columns + c]
                                                              : 0.0)
                  << "token " << t << ", column " << c;
            }
        }
    });
  }
}

TEST_P(Gather, MatchesGguf) {
  std::ifstream file(CLEAVE_KERNEL_TEST_DATA "/dequantize.txt");
  ASSERT_TRUE(file) << "cannot open " CLEAVE_KERNEL_TEST_DATA "/dequantize.txt";
  std::string name, hex, values;
  int64_t count = 0;
  bool found = GetParam() == ElementType::f32; // not in the file: nothing to decode
  while (file >> name >> count >> hex >> values) {
    if (name != elementTypeInfo(GetParam()).name)
      continue;
    found = true;
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i < hex.size(); i += 2)
      bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    std::vector<float> expected;
    std::stringstream list(values);
    for (std::string item; std::getline(list, item, ',');) {
      const auto bits = static_cast<uint32_t>(std::stoul(item, nullptr, 16));
      float value;
      std::memcpy(&value, &bits, 4);
      expected.push_back(value);
    }
    ASSERT_EQ(static_cast<int64_t>(expected.size()), count);
    const int32_t index = 0;
    forEachTarget([&] {
      std::vector<float> y(count);
      gather({.source = bytes.data(),
              .type = GetParam(),
              .indices = &index,
              .y = y.data(),
              .rows = 1,
              .columns = count,
              .tokens = 1,
              .yStride = count},
             Part{});
      EXPECT_EQ(y, expected);
    });
  }
  EXPECT_TRUE(found);
}

INSTANTIATE_TEST_SUITE_P(Types, Gather, testing::ValuesIn(weightTypes()), typeName);

TEST(CanGather, KnowsWhatThereIs) {
  for (const ElementTypeInfo &info : elementTypes)
    EXPECT_TRUE(canGather(info.type) || !isBlockType(info)) << info.name;
  EXPECT_FALSE(canGather(ElementType::i8));
  EXPECT_FALSE(canGather(static_cast<ElementType>(200)));
}

} // namespace
} // namespace cleave::rt
