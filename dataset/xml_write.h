/// Text of XML documents: numbers that read back as they were, texts that cannot break out. Private to dataset/.
#ifndef NM_DATASET_XML_WRITE_H
#define NM_DATASET_XML_WRITE_H

#include <string.h>

#include "dataset/encoders.h"

/// A literal, without the walk of strlen.
#define NM_XML(buffer, literal) nm_byte_buffer_put(buffer, literal, sizeof(literal) - 1)

/// Room that every function below with a `to` needs at most.
#define NM_XML_NUMBER 64

/// Writes the decimal without exponent, of as few places as do, that is `value` again when it is read as a double,
/// `origin` is taken off it, and the rest is made a float. What has more digits than doubles between it and the origin
/// tell apart is written as the double nearest to origin + value. Returns the length; not terminated. Finite only;
/// |origin| < 1e12.
size_t nm_xml_local(char *to, double origin, float value);
/// The same for a value that a reader gets by adding `offset` to what it read, before it takes the origin off.
size_t nm_xml_moved(char *to, double origin, double offset, float value);
/// half_steps / 2 times `dt`, exact in decimals: 3 steps of 0.1f are 0.3. dt > 0.
size_t nm_xml_time(char *to, float dt, uint64_t half_steps);
/// The same for an angle in (-pi, pi]: never more than pi as a double has it, which is less than the float.
size_t nm_xml_angle(char *to, float angle);
size_t nm_xml_integer(char *to, int64_t value);

void nm_xml_put_local(nm_byte_buffer *buffer, double origin, float value);
void nm_xml_put_angle(nm_byte_buffer *buffer, float angle);
void nm_xml_put_integer(nm_byte_buffer *buffer, int64_t value);
/// A text as content or as the value of an attribute: the five characters escaped; bytes that XML 1.0 forbids, and
/// those that are no UTF-8, become '?'.
void nm_xml_put_text(nm_byte_buffer *buffer, const char *text);

#endif
