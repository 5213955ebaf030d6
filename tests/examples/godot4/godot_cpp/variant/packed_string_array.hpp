#pragma once
#include "../variants.hpp"
