// Stories of drills as a picture that a browser shows: requests as bars over the seconds, below
// them a lane for each host with the stretches in which it held the address, and the faults across
// both. Pure.
#pragma once

#include <span>
#include <string>

#include "lab/drill_story.h"

namespace nines::lab {

// An SVG 1.1 document that needs nothing else. One panel below the other, on one scale of time, so
// that the same drill of two engines can be compared by eye.
std::string draw_stories(std::span<const DrillStory> stories);

}  // namespace nines::lab
