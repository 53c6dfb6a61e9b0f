#include "codec/codec.h"

#include <stdio.h>
#include <string.h>

#include "codec/normalised.h"

#define PP__CODEC(name) extern const pp__codec pp__codec_##name;
#include "codec/codec_list.inc"
#undef PP__CODEC

static const pp__codec *const all[] = {
#define PP__CODEC(name) &pp__codec_##name,
#include "codec/codec_list.inc"
#undef PP__CODEC
};
enum { CODEC_COUNT = sizeof all / sizeof *all };

static const pp__codec *find(const char *name, size_t length) {
    for (size_t i = 0; i < CODEC_COUNT; i++)
        if (strlen(all[i]->name) == length && !memcmp(all[i]->name, name, length)) return all[i];
    return NULL;
}

size_t pp__codec_count(void) {
    return CODEC_COUNT;
}

const pp__codec *pp__codec_at(size_t index) {
    return all[index];
}

const pp__codec *pp__codec_find(const char *name) {
    return find(name, strlen(name));
}

static pp_status unknown(pp_engine *engine, const char *text) {
    char names[256] = "";
    size_t length = 0;
    for (size_t i = 0; i < CODEC_COUNT && length < sizeof names; i++)
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", i ? ", " : "",
                                   all[i]->name);
    return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT, "codec '%s' is unknown; there are %s", text,
                    names);
}

pp_status pp__coding_read(pp_engine *engine, const char *text, pp__coding *coding_out) {
    memset(coding_out, 0, sizeof *coding_out);
    /* A codec whose parameters are all optional has no colon: "bitmap,density=0.5". */
    size_t name_length = strcspn(text, ":,");
    const char *parameters = text + name_length;
    if (*parameters == ':' && parameters[1] && parameters[1] != ',') parameters++;
    pp__coding coding = {.codec = find(text, name_length)};
    if (!coding.codec) return unknown(engine, text);
    if (!coding.codec->stored_bytes)
        return pp__fail(engine, PP_ERROR_UNSUPPORTED,
                        "codec '%s': this build leaves %s out (CMake option POCKETPROP_WITHOUT)",
                        text, coding.codec->name);
    if (!coding.codec->read) {
        if (text[name_length])
            return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT, "codec '%s': %s takes no parameters",
                            text, coding.codec->name);
    } else {
        const char *expected = "";
        if (!coding.codec->read(parameters, &coding, &expected))
            return pp__fail(engine, PP_ERROR_INVALID_ARGUMENT, "codec '%s': expected %s", text,
                            expected);
    }
    *coding_out = coding;
    return PP_OK;
}

void pp__coding_print(const pp__coding *coding, char text[PP__CODING_TEXT]) {
    if (coding->codec && coding->codec->print)
        coding->codec->print(coding, text, PP__CODING_TEXT);
    else
        snprintf(text, PP__CODING_TEXT, "%s", coding->codec ? coding->codec->name : "");
}

size_t pp__coding_bytes(const pp__coding *coding, pp__shape shape) {
    return coding->codec->stored_bytes(coding, shape);
}

void pp__stored_prefix(const pp__stored *stored, pp__launch *launch) {
    pp__launch_prefix(launch, stored->coding.codec->file);
    if (stored->coding.codec->define) stored->coding.codec->define(stored, launch);
}

void pp__stored_arguments(const pp__stored *stored, pp__launch *launch) {
    pp__launch_tensor(launch, stored->code, 1);
    pp__launch_tensor(launch, stored->statistics, sizeof(float));
    pp__launch_tensor(launch, stored->gamma, sizeof(float));
    pp__launch_tensor(launch, stored->beta, sizeof(float));
}

bool pp__stored_is_plain(const pp__stored *stored) {
    return stored->coding.codec->stores_itself && stored->subject == PP__SUBJECT_ACTIVATION;
}

pp_status pp__stored_decode(const pp__stored *stored, uint32_t first_image, uint32_t image_count,
                            pp__ref value, pp__stream *stream) {
    if (stored->subject == PP__SUBJECT_NORMALISED)
        return pp__batchnorm_decode(stored, first_image, image_count, value, stream);
    if (!stored->coding.codec->decode)
        return pp__fail(pp__stream_engine(stream), PP_ERROR_INTERNAL,
                        "codec %s: its values are read where they lie and never decoded",
                        stored->coding.codec->name);
    return stored->coding.codec->decode(stored, first_image, image_count, value, stream);
}
