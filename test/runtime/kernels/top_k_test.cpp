// The largest elements of rows against a sort of all, and lists of shares against those of
// the whole row.
#include "test_support.h"

#include "runtime/kernels/top_k.h"

#include <cmath>
#include <limits>

namespace cleave::rt {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float noNumber = std::numeric_limits<float>::quiet_NaN();

/// The first `count` of all columns in the order of candidates, written out again here.
std::vector<Candidate> sorted(const std::vector<float> &row, int64_t count, int64_t offset) {
  std::vector<Candidate> all;
  for (size_t c = 0; c < row.size(); ++c)
    all.push_back({row[c], static_cast<float>(offset + static_cast<int64_t>(c))});
  std::stable_sort(all.begin(), all.end(), [](Candidate a, Candidate b) {
    float x = std::isnan(a.value) ? infinity : a.value;
    float y = std::isnan(b.value) ? infinity : b.value;
    return x > y;
  });
  all.resize(static_cast<size_t>(count), Candidate{-infinity, -1});
  return all;
}

void expectSame(const std::vector<Candidate> &found, const std::vector<Candidate> &expected,
                const std::string &what) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].id, expected[i].id) << what << ", candidate " << i;
    ASSERT_TRUE(found[i].value == expected[i].value ||
                (std::isnan(found[i].value) && std::isnan(expected[i].value)))
        << what << ", candidate " << i << ": " << found[i].value << ", expected "
        << expected[i].value;
  }
}

/// Rows that have few different values, so that most are equal to others, and rows that grow,
/// which change the heap at every step.
std::vector<float> makeRows(int64_t rows, int64_t columns, Random &random) {
  std::vector<float> x(static_cast<size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      x[static_cast<size_t>(r * columns + c)] = r % 3 == 0   ? random.uniform()
                                                : r % 3 == 1 ? float(random.integer(-3, 3))
                                                             : float(c);
  return x;
}

TEST(TopK, MatchesASort) {
  for (int64_t rows : {0, 1, 4})
    for (int64_t columns : {0, 1, 5, 63, 64, 65, 1000, 5003})
      for (int64_t count : {1, 3, 64, 1024}) {
        Random random(static_cast<uint32_t>(columns + count));
        const std::vector<float> x = makeRows(rows, columns, random);
        std::vector<Candidate> expected;
        for (int64_t r = 0; r < rows; ++r)
          for (Candidate each :
               sorted({x.begin() + r * columns, x.begin() + (r + 1) * columns}, count, 100))
            expected.push_back(each);
        forEachTarget([&] {
          for (int parts : partCounts) {
            std::vector<Candidate> y(static_cast<size_t>(rows * count), {7, 7});
            runParts(topK, TopKArgs{x.data(), y.data(), rows, columns, count, 100}, parts);
            expectSame(y, expected,
                       std::to_string(columns) + " columns, " + std::to_string(parts) + " parts");
          }
        });
      }
}

// What is not a number counts as +inf: it is found wherever it stands, the first of them
// first. -inf is a value like others, and comes before what stands for none.
TEST(TopK, SeesWhatIsNoFiniteNumber) {
  for (size_t at : {size_t{0}, size_t{3}, size_t{100}, size_t{299}}) {
    std::vector<float> row(300, -1.0f);
    row[at] = noNumber;
    row[(at + 150) % 300] = infinity;
    row[(at + 7) % 300] = 5;
    const std::vector<Candidate> expected = sorted(row, 4, 0);
    EXPECT_EQ(std::isnan(expected[0].value) || std::isnan(expected[1].value), true);
    forEachTarget([&] {
      std::vector<Candidate> y(4);
      topK({row.data(), y.data(), 1, 300, 4, 0}, Part{});
      expectSame(y, expected, "not a number at " + std::to_string(at));
    });
  }
  const std::vector<float> none(20, -infinity);
  forEachTarget([&] {
    std::vector<Candidate> y(30, {7, 7});
    topK({none.data(), y.data(), 1, 20, 30, 0}, Part{});
    expectSame(y, sorted(none, 30, 0), "all -inf");
  });
}

// Over uneven shares, an empty one and shares shorter than the list among them, the merged
// lists are those of the whole row.
TEST(TopK, SharesGiveTheListOfTheWhole) {
  const int64_t rows = 5, columns = 1003;
  Random random(3);
  std::vector<float> x = makeRows(rows, columns, random);
  x[17] = noNumber;
  x[static_cast<size_t>(columns + 5)] = -infinity;
  for (int64_t count : {1, 8, 64}) {
    std::vector<Candidate> whole(static_cast<size_t>(rows * count)), lists;
    topK({x.data(), whole.data(), rows, columns, count, 0}, Part{});
    const int64_t ends[] = {0, 400, 400, 410, 1003};
    for (int share = 0; share < 4; ++share) {
      const int64_t begin = ends[share], width = ends[share + 1] - begin;
      std::vector<float> part;
      for (int64_t r = 0; r < rows; ++r)
        part.insert(part.end(), x.begin() + r * columns + begin,
                    x.begin() + r * columns + begin + width);
      std::vector<Candidate> list(static_cast<size_t>(rows * count));
      topK({part.data(), list.data(), rows, width, count, begin}, Part{});
      lists.insert(lists.end(), list.begin(), list.end());
    }
    for (int parts : partCounts) {
      std::vector<Candidate> merged(whole.size());
      runParts(mergeTop, MergeTopArgs{lists.data(), merged.data(), 4, rows, count}, parts);
      expectSame(merged, whole, std::to_string(count) + " candidates");
    }
  }
}

} // namespace
} // namespace cleave::rt
