/// Films: H.264 in MP4 through libavcodec and libavformat.
///
/// The bytes do not depend on the machine's cores: x264 cuts its work by its number of threads, so that number is fixed
/// here; `threads` shares out the conversion of colours, which gives the same values however it is cut.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>

#include "base/whole_file.h"
#include "render/media.h"

#define ENCODER_THREADS 3
#define BLOCK (1 << 16) // bytes written at once

struct nm_film {
    nm_whole_file file;
    AVFormatContext *format;
    AVCodecContext *encoder;
    AVStream *stream;
    AVFrame *frame; ///< what is encoded
    AVPacket *packet;
    struct SwsContext *convert;
    int64_t next;
    int io_error;     ///< errno of the first write that failed
    nm_status failed; ///< of the first frame that could not be added
};

#if LIBAVFORMAT_VERSION_MAJOR >= 61
typedef const uint8_t *written_bytes;
#else
typedef uint8_t *written_bytes;
#endif

static int write_bytes(void *context, written_bytes bytes, int size) {
    nm_film *film = context;
    if (fwrite(bytes, 1, (size_t)size, film->file.stream) == (size_t)size) return size;
    if (!film->io_error) film->io_error = errno ? errno : EIO;
    return AVERROR(film->io_error);
}

static int64_t seek_bytes(void *context, int64_t offset, int whence) {
    nm_film *film = context;
    if (whence == AVSEEK_SIZE) return AVERROR(ENOSYS);
    if (fseeko(film->file.stream, (off_t)offset, whence & 3) == 0) return ftello(film->file.stream);
    if (!film->io_error) film->io_error = errno;
    return AVERROR(film->io_error);
}

static nm_status refuse(const nm_film *film, int code, const char *what, nm_error *error) {
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    if (film->io_error)
        return NM_ERROR_AT(error, NM_E_IO, film->file.path, 0, -1, "can not be written: %s", strerror(film->io_error));
    av_strerror(code, text, sizeof text);
    return NM_ERROR_AT(error, code == AVERROR(ENOMEM) ? NM_E_MEMORY : NM_E_UNSUPPORTED, film->file.path, 0, -1,
                       "%s: %s", what, text);
}

static void release(nm_film *film) {
    if (film->format && film->format->pb) {
        av_freep(&film->format->pb->buffer);
        avio_context_free(&film->format->pb);
    }
    avformat_free_context(film->format);
    avcodec_free_context(&film->encoder);
    av_frame_free(&film->frame);
    av_packet_free(&film->packet);
    sws_freeContext(film->convert);
    free(film);
}

void nm_film_abandon(nm_film *film) {
    if (!film) return;
    nm_whole_file_drop(&film->file);
    release(film);
}

static nm_status open_encoder(nm_film *film, int width, int height, int rate, nm_error *error) {
    const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
    if (!codec) codec = avcodec_find_encoder(AV_CODEC_ID_H264);
    if (!codec)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "no films: this libavcodec has no H.264 encoder (libx264 is missing)");
    AVCodecContext *encoder = film->encoder = avcodec_alloc_context3(codec);
    if (!encoder) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    encoder->width = width;
    encoder->height = height;
    encoder->time_base = (AVRational){1, rate};
    encoder->framerate = (AVRational){rate, 1};
    encoder->pix_fmt = AV_PIX_FMT_YUV420P;
    encoder->color_range = AVCOL_RANGE_MPEG;
    encoder->colorspace = AVCOL_SPC_BT709;
    encoder->color_primaries = AVCOL_PRI_BT709;
    encoder->color_trc = AVCOL_TRC_BT709;
    encoder->gop_size = 2 * rate; // a jump in the film costs two seconds of decoding at most
    encoder->thread_count = ENCODER_THREADS;
    encoder->log_level_offset = 100; // below all levels: a library never prints
    encoder->flags |= AV_CODEC_FLAG_BITEXACT;
    if (film->format->oformat->flags & AVFMT_GLOBALHEADER) encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    if (strcmp(codec->name, "libx264") == 0) {
        av_opt_set(encoder->priv_data, "preset", "superfast", 0);
        av_opt_set(encoder->priv_data, "tune", "animation", 0); // flat surfaces, sharp edges
        av_opt_set(encoder->priv_data, "crf", "20", 0);
    } else {
        encoder->bit_rate = (int64_t)width * height * rate / 10;
    }
    const int code = avcodec_open2(encoder, codec, NULL);
    return code < 0 ? refuse(film, code, "the H.264 encoder does not start", error) : NM_OK;
}

/// A film of RGBA pictures to YUV 4:2:0 of BT.709, video range.
static nm_status open_conversion(nm_film *film, int threads, nm_error *error) {
    const int width = film->encoder->width, height = film->encoder->height;
    struct SwsContext *convert = film->convert = sws_alloc_context();
    film->frame = av_frame_alloc();
    film->packet = av_packet_alloc();
    if (!convert || !film->frame || !film->packet) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    film->frame->format = AV_PIX_FMT_YUV420P;
    film->frame->width = width;
    film->frame->height = height;
    av_opt_set_int(convert, "srcw", width, 0);
    av_opt_set_int(convert, "srch", height, 0);
    av_opt_set_int(convert, "dstw", width, 0);
    av_opt_set_int(convert, "dsth", height, 0);
    av_opt_set_int(convert, "src_format", AV_PIX_FMT_RGB0, 0);
    av_opt_set_int(convert, "dst_format", AV_PIX_FMT_YUV420P, 0);
    av_opt_set_int(convert, "sws_flags", SWS_BILINEAR, 0);
    av_opt_set_int(convert, "threads", threads > 0 ? threads : 0, 0);
    int code = sws_init_context(convert, NULL, NULL);
    if (code >= 0)
        code = sws_setColorspaceDetails(convert, sws_getCoefficients(SWS_CS_ITU709), 1,
                                        sws_getCoefficients(SWS_CS_ITU709), 0, 0, 1 << 16, 1 << 16);
    if (code >= 0) code = av_frame_get_buffer(film->frame, 0);
    return code < 0 ? refuse(film, code, "the conversion of colours does not start", error) : NM_OK;
}

static nm_status open_container(nm_film *film, nm_error *error) {
    uint8_t *block = av_malloc(BLOCK);
    int code = avformat_alloc_output_context2(&film->format, NULL, "mp4", NULL);
    if (code >= 0 && block) film->format->pb = avio_alloc_context(block, BLOCK, 1, film, NULL, write_bytes, seek_bytes);
    if (code < 0 || !film->format->pb) {
        av_free(block);
        return code < 0 ? NM_ERROR(error, NM_E_UNSUPPORTED, "no films: this libavformat does not write MP4")
                        : NM_ERROR(error, NM_E_MEMORY, "out of memory");
    }
    film->format->flags |= AVFMT_FLAG_BITEXACT; // no version of libavformat in the file
    return NM_OK;
}

static nm_status start(nm_film *film, nm_error *error) {
    film->stream = avformat_new_stream(film->format, NULL);
    if (!film->stream) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    film->stream->time_base = film->encoder->time_base;
    film->stream->avg_frame_rate = film->encoder->framerate;
    int code = avcodec_parameters_from_context(film->stream->codecpar, film->encoder);
    if (code >= 0) code = avformat_write_header(film->format, NULL);
    return code < 0 ? refuse(film, code, "the film can not be begun", error) : NM_OK;
}

nm_status nm_film_open(const char *path, int width, int height, int frames_per_second, int threads, nm_film **result,
                       nm_error *error) {
    *result = NULL;
    if (width < 2 || height < 2 || width % 2 || height % 2 || width > NM_FILM_MOST_PX || height > NM_FILM_MOST_PX)
        return NM_ERROR(error, NM_E_ARGUMENT, "a film of %d x %d px: width and height must be even, 2 to %d", width,
                        height, NM_FILM_MOST_PX);
    if (frames_per_second < 1 || frames_per_second > NM_FILM_MOST_FPS)
        return NM_ERROR(error, NM_E_ARGUMENT, "a film of %d frames per second: 1 to %d", frames_per_second,
                        NM_FILM_MOST_FPS);
    nm_film *film = calloc(1, sizeof *film);
    if (!film) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    nm_status status = nm_whole_file_open(&film->file, path, NM_WHOLE_FILE_SEEKS, error);
    if (status != NM_OK) {
        free(film);
        return status;
    }
    status = open_container(film, error);
    if (status == NM_OK) status = open_encoder(film, width, height, frames_per_second, error);
    if (status == NM_OK) status = open_conversion(film, threads, error);
    if (status == NM_OK) status = start(film, error);
    if (status != NM_OK) {
        nm_film_abandon(film);
        return status;
    }
    *result = film;
    return NM_OK;
}

/// Takes what the encoder has ready into the file. `frame` NULL: the end.
static nm_status encode(nm_film *film, const AVFrame *frame, nm_error *error) {
    int code = avcodec_send_frame(film->encoder, frame);
    while (code >= 0) {
        code = avcodec_receive_packet(film->encoder, film->packet);
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return NM_OK;
        if (code < 0) break;
        film->packet->duration = 1;
        av_packet_rescale_ts(film->packet, film->encoder->time_base, film->stream->time_base);
        film->packet->stream_index = film->stream->index;
        code = av_interleaved_write_frame(film->format, film->packet);
        if (film->io_error) code = AVERROR(film->io_error); // libavio tells it late
    }
    return refuse(film, code, "a frame can not be encoded", error);
}

static nm_status add(nm_film *film, const uint8_t *rgba, nm_error *error) {
    int code = av_frame_make_writable(film->frame);
    if (code < 0) return refuse(film, code, "no frame", error);
    const uint8_t *const planes[4] = {rgba};
    const int strides[4] = {4 * film->frame->width};
    code = sws_scale(film->convert, planes, strides, 0, film->frame->height, film->frame->data, film->frame->linesize);
    if (code < 0) return refuse(film, code, "the conversion of colours fails", error);
    film->frame->pts = film->next++;
    return encode(film, film->frame, error);
}

/// What a frame that is missing makes of all that follows.
static nm_status fail_again(const nm_film *film, nm_error *error) {
    if (film->io_error) return refuse(film, 0, "", error);
    return NM_ERROR_AT(error, film->failed, film->file.path, 0, -1, "frame %lld of the film could not be added",
                       (long long)film->next);
}

nm_status nm_film_add(nm_film *film, const uint8_t *rgba, nm_error *error) {
    if (film->failed != NM_OK) return fail_again(film, error);
    return film->failed = add(film, rgba, error);
}

static nm_status finish(nm_film *film, nm_error *error) {
    if (film->failed != NM_OK) return fail_again(film, error);
    if (film->next == 0) return NM_ERROR_AT(error, NM_E_ARGUMENT, film->file.path, 0, -1, "a film without any frame");
    nm_status status = encode(film, NULL, error);
    if (status != NM_OK) return status;
    const int code = av_write_trailer(film->format);
    avio_flush(film->format->pb);
    return code < 0 || film->io_error ? refuse(film, code, "the film can not be ended", error) : NM_OK;
}

nm_status nm_film_close(nm_film *film, nm_error *error) {
    nm_status status = finish(film, error);
    if (status == NM_OK)
        status = nm_whole_file_keep(&film->file, error);
    else
        nm_whole_file_drop(&film->file);
    release(film);
    return status;
}
