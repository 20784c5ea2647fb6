// The sampling chain: what each stage keeps, how often each token is drawn, and
// what is refused.
#include "runtime/text/sampler.h"
#include "test/runtime/text/allocation_count.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>

using namespace cleave::rt;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Every stage off, so that a test switches on the one it is about.
SamplerOptions plain() {
  return {.topK = 0, .topP = 1, .minP = 0, .temp = 1, .seed = 7};
}

/// Logits of the given probabilities, up to a constant.
std::vector<float> logitsOf(std::vector<double> probabilities) {
  std::vector<float> logits;
  for (double p : probabilities)
    logits.push_back(static_cast<float>(std::log(p) + 3));
  return logits;
}

/// How often each id is drawn, of `count` draws.
std::map<int32_t, double> frequencies(const SamplerOptions &options,
                                      const std::vector<float> &logits, int count = 20000) {
  Sampler sampler(options, logits.size());
  std::map<int32_t, double> result;
  for (int i = 0; i < count; ++i)
    ++result[sampler.sample(logits)];
  for (auto &[id, frequency] : result)
    frequency /= count;
  return result;
}

/// Expects frequencies within five standard deviations.
void expectFrequencies(const std::map<int32_t, double> &actual,
                       const std::map<int32_t, double> &expected, int count = 20000) {
  for (auto [id, p] : expected)
    EXPECT_NEAR(actual.contains(id) ? actual.at(id) : 0, p, 5 * std::sqrt(p * (1 - p) / count))
        << "id " << id;
  for (auto [id, p] : actual)
    EXPECT_TRUE(expected.contains(id)) << "id " << id << " drawn";
}

TEST(Sampler, DefaultsAreLlamaCpps) {
  SamplerOptions options;
  EXPECT_EQ(options.topK, 40);
  EXPECT_FLOAT_EQ(options.topP, 0.95f);
  EXPECT_FLOAT_EQ(options.minP, 0.05f);
  EXPECT_FLOAT_EQ(options.temp, 0.8f);
}

TEST(Sampler, TakesTheLargestLogitWithoutTemperature) {
  for (float temp : {0.0f, -1.0f}) {
    SamplerOptions options{.temp = temp};
    Sampler sampler(options, 5);
    EXPECT_EQ(sampler.sample(std::vector<float>{-1, 3, 2, 3, -infinity}), 1);
    EXPECT_EQ(sampler.sample(std::vector<float>{-infinity, -5, -4, -4, -4}), 2);
    EXPECT_EQ(sampler.sample(std::vector<float>{0, 0, 0, 0, 0}), 0);
  }
}

TEST(Sampler, DrawsInProportion) {
  auto logits = logitsOf({0.1, 0.2, 0.4, 0.3});
  expectFrequencies(frequencies(plain(), logits), {{0, 0.1}, {1, 0.2}, {2, 0.4}, {3, 0.3}});
}

TEST(Sampler, TemperatureSharpensAndFlattens) {
  auto logits = logitsOf({0.2, 0.8});
  SamplerOptions options = plain();
  options.temp = 0.5f; // probabilities squared
  expectFrequencies(frequencies(options, logits), {{0, 0.04 / 0.68}, {1, 0.64 / 0.68}});
  options.temp = 2; // their square roots: 1 to 2
  expectFrequencies(frequencies(options, logits), {{0, 1.0 / 3}, {1, 2.0 / 3}});
  options.temp = 1e-30f;
  expectFrequencies(frequencies(options, logits), {{1, 1.0}});
}

TEST(Sampler, TopKKeepsTheBestAndTheLowestIdsAmongEquals) {
  SamplerOptions options = plain();
  options.topK = 2;
  expectFrequencies(frequencies(options, logitsOf({0.1, 0.2, 0.4, 0.3})),
                    {{2, 4.0 / 7}, {3, 3.0 / 7}});
  expectFrequencies(frequencies(options, {1, 5, 5, 5}), {{1, 0.5}, {2, 0.5}});
  options.topK = 100;
  expectFrequencies(frequencies(options, {0, 0}), {{0, 0.5}, {1, 0.5}});
}

TEST(Sampler, TopPKeepsTheFewestThatReachTheSum) {
  auto logits = logitsOf({0.1, 0.2, 0.4, 0.3});
  SamplerOptions options = plain();
  options.topP = 0.65f;
  expectFrequencies(frequencies(options, logits), {{2, 4.0 / 7}, {3, 3.0 / 7}});
  options.topP = 0.75f;
  expectFrequencies(frequencies(options, logits), {{1, 2.0 / 9}, {2, 4.0 / 9}, {3, 3.0 / 9}});
  options.topP = 0;
  expectFrequencies(frequencies(options, logits), {{2, 1.0}});
}

TEST(Sampler, TopPCountsProbabilitiesAmongTheTopKBeforeTemperature) {
  auto logits = logitsOf({0.1, 0.2, 0.4, 0.3});
  SamplerOptions options = plain();
  options.topK = 2; // 4/7 and 3/7
  options.topP = 0.55f;
  options.temp = 100;
  expectFrequencies(frequencies(options, logits), {{2, 1.0}});
  options.topP = 0.6f;
  EXPECT_EQ(frequencies(options, logits).size(), 2u);
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  auto logits = logitsOf({0.1, 0.2, 0.4, 0.3});
  SamplerOptions options = plain();
  options.minP = 0.6f;
  expectFrequencies(frequencies(options, logits), {{2, 4.0 / 7}, {3, 3.0 / 7}});
  options.minP = 0.3f;
  EXPECT_EQ(frequencies(options, logits).size(), 3u);
  options.minP = 1;
  expectFrequencies(frequencies(options, {5, 4, 5}), {{0, 0.5}, {2, 0.5}});
  options.minP = 2;
  expectFrequencies(frequencies(options, logits), {{2, 1.0}});
}

TEST(Sampler, NeverDrawsWhatIsExcluded) {
  expectFrequencies(frequencies(plain(), {-infinity, 1, -infinity, 1, -infinity}),
                    {{1, 0.5}, {3, 0.5}});
}

TEST(Sampler, TheSeedDecides) {
  std::vector<float> logits(1000);
  std::iota(logits.begin(), logits.end(), 0.0f);
  for (float &logit : logits)
    logit = std::fmod(logit * 37, 11.0f) / 4;
  auto draw = [&](uint64_t seed, SamplerOptions options) {
    options.seed = seed;
    Sampler sampler(options, logits.size());
    std::vector<int32_t> ids;
    for (int i = 0; i < 8; ++i)
      ids.push_back(sampler.sample(logits));
    return ids;
  };
  EXPECT_EQ(draw(1, plain()), draw(1, plain()));
  EXPECT_NE(draw(1, plain()), draw(2, plain()));
  // The same on every platform: mt19937_64 is the standard's, the rest is ours.
  EXPECT_THAT(draw(42, SamplerOptions{}), ElementsAre(316, 272, 316, 63, 382, 41, 239, 162));
}

TEST(Sampler, AllocatesAtConstructionOnly) {
  std::vector<float> logits(5000, 1.0f);
  for (SamplerOptions options : {SamplerOptions{}, plain()}) {
    Sampler sampler(options, logits.size());
    size_t before = allocationCount();
    for (int i = 0; i < 10; ++i)
      sampler.sample(logits);
    EXPECT_EQ(allocationCount(), before);
  }
}

TEST(Sampler, SaysWhichLogitIsNotANumber) {
  for (float temp : {0.0f, 0.8f}) {
    Sampler sampler(SamplerOptions{.temp = temp}, 3);
    EXPECT_THAT([&] { sampler.sample(std::vector<float>{0, nan, 1}); },
                ThrowsMessage<std::runtime_error>(HasSubstr("token 1 is not a number")));
    EXPECT_THAT([&] { sampler.sample(std::vector<float>{nan, 0, 1}); },
                ThrowsMessage<std::runtime_error>(HasSubstr("token 0 is not a number")));
    EXPECT_THAT([&] { sampler.sample(std::vector<float>{0, 1, infinity}); },
                ThrowsMessage<std::runtime_error>(HasSubstr("token 2 is infinite")));
    EXPECT_THAT([&] { sampler.sample(std::vector<float>(3, -infinity)); },
                ThrowsMessage<std::runtime_error>(HasSubstr("all logits are -inf")));
  }
}

TEST(Sampler, RefusesWrongSizesAndOptions) {
  EXPECT_THROW(Sampler({}, 0), std::invalid_argument);
  EXPECT_THROW(Sampler({}, size_t(1) << 40), std::invalid_argument);
  EXPECT_THROW(Sampler({.temp = nan}, 2), std::invalid_argument);
  EXPECT_THROW(Sampler({.topP = infinity}, 2), std::invalid_argument);
  EXPECT_THROW(Sampler({.minP = nan}, 2), std::invalid_argument);
  Sampler sampler({}, 2);
  EXPECT_THROW(sampler.sample(std::vector<float>(3)), std::invalid_argument);
}

/// The best `count` logits, as a program gives them: by value, equal ones by id.
std::vector<cleave::Candidate> bestOf(const std::vector<float> &logits, size_t count) {
  std::vector<cleave::Candidate> all;
  for (size_t id = 0; id < logits.size(); ++id)
    all.push_back({logits[id], static_cast<float>(id)});
  std::ranges::stable_sort(all, std::greater<>(), &cleave::Candidate::value);
  all.resize(count);
  return all;
}

TEST(Sampler, TheBestLogitsGiveTheSameTokensAsAll) {
  std::mt19937 random(11);
  for (SamplerOptions options : {SamplerOptions{.temp = 0}, SamplerOptions{.seed = 3},
                                 SamplerOptions{.topK = 64, .topP = 1, .minP = 0, .temp = 2},
                                 SamplerOptions{.topK = 1, .temp = 1},
                                 SamplerOptions{.topK = 7, .topP = 0.5f, .minP = 0, .temp = 1.5f},
                                 SamplerOptions{.topK = 0, .topP = 0.5f, .temp = 0}}) {
    ASSERT_TRUE(Sampler::needsOnly(64, options));
    for (int vocabulary : {20, 64, 500}) {
      Sampler whole(options, static_cast<size_t>(vocabulary));
      Sampler best(options, static_cast<size_t>(vocabulary));
      for (int step = 0; step < 200; ++step) {
        // Few different values, so that many are equal, across the last that is kept too.
        std::vector<float> logits;
        for (int i = 0; i < vocabulary; ++i)
          logits.push_back(i % 11 == 0 ? -infinity : static_cast<float>(random() % 8) / 2);
        ASSERT_EQ(best.sample(bestOf(logits, 64)), whole.sample(logits)) << "step " << step;
      }
    }
  }
}

TEST(Sampler, KnowsWhenTheBestLogitsDecide) {
  EXPECT_TRUE(Sampler::needsOnly(40, {.topK = 40}));
  EXPECT_FALSE(Sampler::needsOnly(39, {.topK = 40}));
  EXPECT_FALSE(Sampler::needsOnly(1000, {.topK = 0}));
  EXPECT_FALSE(Sampler::needsOnly(1000, {.topK = -1}));
  EXPECT_TRUE(Sampler::needsOnly(1, {.topK = 0, .temp = 0}));
  EXPECT_FALSE(Sampler::needsOnly(0, {.temp = 0}));
  Sampler sampler({.topK = 5}, 10);
  EXPECT_THAT([&] { sampler.sample(bestOf(std::vector<float>(10, 1.0f), 4)); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("4 candidates are too few")));
}

TEST(Sampler, RefusesTheBestLogitsAsItRefusesAll) {
  for (float temp : {0.0f, 1.0f}) {
    Sampler sampler({.temp = temp}, 100);
    auto refused = [&](cleave::Candidate first, const char *message) {
      std::vector<cleave::Candidate> best(40);
      best[0] = first;
      EXPECT_THAT([&] { sampler.sample(best); },
                  ThrowsMessage<std::runtime_error>(HasSubstr(message)));
    };
    refused({nan, 17}, "the logit of token 17 is not a number");
    refused({infinity, 3}, "the logit of token 3 is infinite");
    refused({-infinity, 0}, "all logits are -inf");
    refused({}, "all logits are -inf");
  }
}

} // namespace
