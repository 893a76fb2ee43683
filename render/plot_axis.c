/// Ranges and ticks of axes.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "render/plot_private.h"

int nm_scale_shows(int logarithmic, double value) {
    return fabs(value) <= NM_PLOT_LARGEST && (!logarithmic || value > 0); // NaN is neither
}

nm_status nm_scale_fit(const nm_plot_axis *axis, const char *name, double least, double most, nm_scale *scale,
                       nm_error *error) {
    const double limits[2] = {axis->low, axis->high};
    for (int i = 0; i < 2; i++)
        if (!isnan(limits[i]) && !nm_scale_shows(axis->logarithmic, limits[i]))
            return NM_ERROR(error, NM_E_ARGUMENT, "the %s axis can not go to %g", name, limits[i]);
    if (axis->low >= axis->high)
        return NM_ERROR(error, NM_E_ARGUMENT, "the %s axis can not go from %g to %g", name, axis->low, axis->high);
    if (isnan(least)) { // no data
        least = axis->logarithmic ? 1 : 0;
        most = axis->logarithmic ? 10 : 1;
    }
    double low = isnan(axis->low) ? least : axis->low, high = isnan(axis->high) ? most : axis->high;
    if (axis->logarithmic) {
        low = log10(low);
        high = log10(high);
    }
    // As wide as its values can be told apart; a limit that was given stays, even when all data lie beyond it.
    const double size = fmax(fabs(low), fabs(high)), narrowest = fmax(1e-9 * size, 1e-290);
    if (!(high - low >= narrowest)) {
        const double about = axis->logarithmic ? 0.5 : size > 1e-280 ? 0.1 * size : 1;
        if (isnan(axis->low) && isnan(axis->high)) {
            low -= about;
            high += about;
        } else if (isnan(axis->low)) {
            low = high - about;
        } else if (isnan(axis->high)) {
            high = low + about;
        }
    } else { // air, so that no line lies on the frame
        const double air = 0.04 * (high - low);
        if (isnan(axis->low)) low -= air;
        if (isnan(axis->high)) high += air;
    }
    if (!(high - low >= narrowest))
        return NM_ERROR(error, NM_E_ARGUMENT, "the %s axis can not go from %.17g to %.17g: too near", name, axis->low,
                        axis->high);
    *scale = (nm_scale){.logarithmic = axis->logarithmic, .low = low, .high = high};
    return NM_OK;
}

double nm_scale_place(const nm_scale *scale, double value) {
    const double v = scale->logarithmic ? log10(value) : value;
    const double place = scale->from + (v - scale->low) / (scale->high - scale->low) * (scale->to - scale->from);
    return fmin(fmax(place, -1e12), 1e12); // to 1e-4 px where a line from there crosses the picture
}

/// Shortest text that tells `value` from others `step` away; with an exponent where the largest value of the axis,
/// `magnitude`, has one.
static void write_value(double value, double step, double magnitude, char *text, size_t size) {
    if (fabs(value) < 1e-6 * step) value = 0; // the rest of a subtraction
    const int digits = (int)fmax(0, -floor(log10(step) + 1e-9));
    if (magnitude < 1e6 && digits <= 5) {
        snprintf(text, size, "%.*f", digits, value);
    } else if (value == 0) {
        snprintf(text, size, "0");
    } else {
        const int precision = (int)fmin(fmax(floor(log10(fabs(value))) - floor(log10(step) + 1e-9), 0), 15);
        snprintf(text, size, "%.*e", precision, value);
        char *e = strchr(text, 'e'), *from = e + 1; // 1.5e+06 -> 1.5e6
        const int negative = *from == '-';
        while (*from == '+' || *from == '-' || *from == '0') from++;
        if (negative) *++e = '-';
        memmove(e + 1, from, strlen(from) + 1);
    }
}

/// The step nearest above of 1, 2 or 5 times a power of ten (Heckbert, "Nice numbers for graph labels", Graphics Gems
/// 1990, which rounds to the nearest instead).
static double round_step(double step) {
    const double power = pow(10, floor(log10(step))), fraction = step / power;
    return power * (fraction <= 1.0001 ? 1 : fraction <= 2.0001 ? 2 : fraction <= 5.0001 ? 5 : 10);
}

static size_t linear_ticks(const nm_scale *scale, int wanted, nm_tick *ticks) {
    const double step = round_step((scale->high - scale->low) / wanted);
    const double first = ceil(scale->low / step - 1e-6);
    const double magnitude = fmax(fabs(scale->low), fabs(scale->high));
    size_t count = 0;
    for (int i = 0; count < NM_PLOT_TICKS; i++) {
        const double value = (first + i) * step;
        if (!(value <= scale->high + 1e-6 * step)) break;
        nm_tick *tick = &ticks[count++];
        tick->place = nm_scale_place(&(nm_scale){0, scale->low, scale->high, scale->from, scale->to}, value);
        write_value(value, step, magnitude, tick->text, sizeof tick->text);
    }
    return count;
}

static size_t log_ticks(const nm_scale *scale, int wanted, nm_tick *ticks) {
    const double decades = scale->high - scale->low;
    const int stride = (int)ceil(decades / wanted - 1e-9) > 1 ? (int)ceil(decades / wanted - 1e-9) : 1;
    const int within = decades < 1.5 ? 9 : decades <= 0.5 * wanted ? 3 : 1; // values of each decade that are marked
    static const int three[] = {1, 2, 5};
    size_t count = 0;
    const int first = (int)floor(scale->low), last = (int)ceil(scale->high);
    for (int power = first; power <= last; power++) {
        if (((power % stride) + stride) % stride) continue;
        for (int i = 0; i < within && count < NM_PLOT_TICKS; i++) {
            const int factor = within == 9 ? i + 1 : three[i];
            const double place = power + log10(factor);
            if (place < scale->low - 1e-9 || place > scale->high + 1e-9) continue;
            nm_tick *tick = &ticks[count++];
            tick->place = scale->from + (place - scale->low) / (scale->high - scale->low) * (scale->to - scale->from);
            if (power >= -3 && power < 5)
                snprintf(tick->text, sizeof tick->text, "%.*f", power < 0 ? -power : 0, factor * pow(10, power));
            else
                snprintf(tick->text, sizeof tick->text, "%de%d", factor, power);
        }
    }
    return count;
}

size_t nm_scale_ticks(const nm_scale *scale, int wanted, nm_tick ticks[NM_PLOT_TICKS]) {
    wanted = wanted < 1 ? 1 : wanted > NM_PLOT_TICKS / 2 ? NM_PLOT_TICKS / 2 : wanted;
    if (!scale->logarithmic) return linear_ticks(scale, wanted, ticks);
    // in a fraction of a decade round values lie as on a linear axis
    const double low = pow(10, scale->low), high = pow(10, scale->high);
    if (scale->high - scale->low > 0.7 || !(high - low > 0)) return log_ticks(scale, wanted, ticks);
    const nm_scale linear = {0, low, high, scale->from, scale->to};
    const size_t count = linear_ticks(&linear, wanted, ticks);
    for (size_t i = 0; i < count; i++) {
        const double value = low + (ticks[i].place - scale->from) / (scale->to - scale->from) * (high - low);
        ticks[i].place = nm_scale_place(scale, value);
    }
    return count;
}
