/// PNG files and films: what is written can be read, the same frames give the same bytes, and trouble leaves nothing.
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "render/media.h"

#define WIDTH 64
#define HEIGHT 48

static char folder[] = "/tmp/nearmiss-media-XXXXXX";

static const char *in_folder(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int files_in_folder(void) {
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void empty_folder(void) {
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.') unlink(in_folder(entry->d_name));
    closedir(dir);
}

static int make_folder(void **state) {
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    return mkdtemp(folder) ? 0 : -1;
}
static int remove_folder(void **state) {
    (void)state;
    empty_folder();
    return rmdir(folder);
}

static void fill(uint8_t *rgba, int frame) {
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            uint8_t *p = rgba + 4 * (y * WIDTH + x);
            p[0] = (uint8_t)(4 * x);
            p[1] = (uint8_t)(5 * y);
            p[2] = (uint8_t)(x / 8 == frame % 8 ? 255 : 0);
            p[3] = (uint8_t)frame; // not written
        }
}

static void png_there_and_back(void **state) {
    (void)state;
    uint8_t in[4 * WIDTH * HEIGHT], *out = NULL;
    int width, height;
    nm_error error;
    fill(in, 3);
    assert_int_equal(nm_png_write(in_folder("a.png"), in, WIDTH, HEIGHT, &error), NM_OK);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(nm_png_read(in_folder("a.png"), &out, &width, &height, &error), NM_OK);
    assert_int_equal(width, WIDTH);
    assert_int_equal(height, HEIGHT);
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        assert_memory_equal(in + 4 * i, out + 4 * i, 3);
        assert_int_equal(out[4 * i + 3], 255);
    }
    free(out);
    empty_folder();
}

/// In memory it is what it is in a file.
static void png_in_memory(void **state) {
    (void)state;
    uint8_t in[4 * WIDTH * HEIGHT], *bytes = NULL, *written = malloc(1u << 20);
    size_t count;
    nm_error error;
    fill(in, 5);
    assert_non_null(written);
    assert_int_equal(nm_png_encode(in, WIDTH, HEIGHT, &bytes, &count, &error), NM_OK);
    assert_int_equal(nm_png_write(in_folder("a.png"), in, WIDTH, HEIGHT, &error), NM_OK);
    FILE *file = fopen(in_folder("a.png"), "rb");
    assert_non_null(file);
    assert_int_equal(fread(written, 1, 1u << 20, file), count);
    fclose(file);
    assert_memory_equal(bytes, written, count);
    free(bytes);
    free(written);
    empty_folder();
}

static void damaged_png(void **state) {
    (void)state;
    uint8_t in[4 * WIDTH * HEIGHT], *out = NULL, bytes[8192];
    int width, height;
    nm_error error;
    fill(in, 1);
    assert_int_equal(nm_png_write(in_folder("a.png"), in, WIDTH, HEIGHT, &error), NM_OK);
    FILE *file = fopen(in_folder("a.png"), "rb");
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_true(size > 100 && size < sizeof bytes);
    for (size_t cut = 0; cut < size - 12; cut += 7) { // every length up to the end mark
        file = fopen(in_folder("b.png"), "wb");
        fwrite(bytes, 1, cut, file);
        fclose(file);
        assert_int_equal(nm_png_read(in_folder("b.png"), &out, &width, &height, &error), NM_E_FORMAT);
        assert_null(out);
        assert_non_null(strstr(error.input, "b.png"));
    }
    for (size_t i = 0; i < size; i++) { // a flipped bit is refused or read, never a crash
        bytes[i] ^= 0x10;
        file = fopen(in_folder("b.png"), "wb");
        fwrite(bytes, 1, size, file);
        fclose(file);
        if (nm_png_read(in_folder("b.png"), &out, &width, &height, &error) == NM_OK) free(out);
        bytes[i] ^= 0x10;
    }
    assert_int_equal(nm_png_read(in_folder("no.png"), &out, &width, &height, &error), NM_E_IO);
    empty_folder();
}

static void no_place_for_a_png(void **state) {
    (void)state;
    static uint8_t in[4 * 512 * 512];
    nm_error error;
    uint32_t seed = 1; // noise does not compress
    for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
    assert_int_equal(nm_png_write("/nowhere/a.png", in, 16, 16, &error), NM_E_IO);
    assert_non_null(strstr(error.input, "/nowhere/a.png"));
    assert_int_equal(nm_png_write(folder, in, 16, 16, &error), NM_E_IO);
    assert_int_equal(symlink("/dev/full", in_folder("full.png")), 0);
    assert_int_equal(nm_png_write(in_folder("full.png"), in, 512, 512, &error), NM_E_IO);
    assert_non_null(strstr(error.message, "No space left"));
    assert_int_equal(nm_png_write(in_folder("full.png"), in, 16, 16, &error), NM_E_IO); // fits the stream's buffer
    unlink(in_folder("full.png"));

    FILE *old = fopen(in_folder("old.png"), "wb");
    fputs("what was there", old);
    fclose(old);
    const struct rlimit little = {20000, RLIM_INFINITY}, much = {RLIM_INFINITY, RLIM_INFINITY};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    assert_int_equal(nm_png_write(in_folder("old.png"), in, 512, 512, &error), NM_E_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &much), 0);
    assert_non_null(strstr(error.message, "too large"));
    const struct rlimit least = {20, RLIM_INFINITY}; // met when the stream is flushed at last
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &least), 0);
    assert_int_equal(nm_png_write(in_folder("old.png"), in, 16, 16, &error), NM_E_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &much), 0);
    struct stat kept;
    assert_int_equal(stat(in_folder("old.png"), &kept), 0);
    assert_int_equal(kept.st_size, 14);
    assert_int_equal(files_in_folder(), 1);
    empty_folder();
}

// --- names and links -------------------------------------------------------------------------------------------------

static void put_text(const char *name, const char *text) {
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int is_text(const char *name, const char *text) {
    char there[64] = "";
    FILE *file = fopen(in_folder(name), "rb");
    if (!file) return 0;
    there[fread(there, 1, sizeof there - 1, file)] = 0;
    fclose(file);
    return strcmp(there, text) == 0;
}

static int is_link(const char *name) {
    struct stat there;
    return lstat(in_folder(name), &there) == 0 && S_ISLNK(there.st_mode);
}

static int is_picture(const char *name) {
    uint8_t *rgba = NULL;
    int width, height;
    nm_error error;
    const nm_status status = nm_png_read(in_folder(name), &rgba, &width, &height, &error);
    free(rgba);
    return status == NM_OK && width == WIDTH && height == HEIGHT;
}

static void links_stay_links(void **state) {
    (void)state;
    uint8_t in[4 * WIDTH * HEIGHT];
    char name[512];
    nm_error error;
    fill(in, 3);
    put_text("old.png", "what was there");
    assert_int_equal(symlink("old.png", in_folder("one.png")), 0);
    snprintf(name, sizeof name, "%s/one.png", folder);
    assert_int_equal(symlink(name, in_folder("two.png")), 0);
    assert_int_equal(nm_png_write(in_folder("two.png"), in, WIDTH, HEIGHT, &error), NM_OK);
    assert_true(is_link("one.png") && is_link("two.png") && !is_link("old.png") && is_picture("old.png"));
    assert_int_equal(symlink("new.png", in_folder("to_come.png")), 0); // what it stands for is made
    assert_int_equal(nm_png_write(in_folder("to_come.png"), in, WIDTH, HEIGHT, &error), NM_OK);
    assert_true(is_link("to_come.png") && !is_link("new.png") && is_picture("new.png"));
    assert_int_equal(files_in_folder(), 5);
    assert_int_equal(symlink("round.png", in_folder("round.png")), 0);
    assert_int_equal(nm_png_write(in_folder("round.png"), in, WIDTH, HEIGHT, &error), NM_E_IO);
    assert_int_equal(symlink("none/a.png", in_folder("none.png")), 0);
    assert_int_equal(nm_png_write(in_folder("none.png"), in, WIDTH, HEIGHT, &error), NM_E_IO);
    assert_non_null(strstr(error.input, "none.png"));
    assert_int_equal(files_in_folder(), 7);
    empty_folder();
}

/// Who knows what the unfinished file will be called could have it written over something else.
static void names_in_wait_are_left_alone(void **state) {
    (void)state;
    uint8_t in[4 * WIDTH * HEIGHT];
    char name[64];
    nm_error error;
    fill(in, 3);
    put_text("victim", "precious");
    snprintf(name, sizeof name, "a.png.%ld.part", (long)getpid());
    assert_int_equal(symlink("victim", in_folder(name)), 0);
    assert_int_equal(nm_png_write(in_folder("a.png"), in, WIDTH, HEIGHT, &error), NM_OK);
    assert_true(is_text("victim", "precious") && is_picture("a.png"));
    assert_int_equal(files_in_folder(), 3);
    // two at a time beside each other, by one process
    nm_film *films[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++)
        assert_int_equal(nm_film_open(in_folder("b.mp4"), 64, 48, 25, 1, &films[i], &error), NM_OK);
    assert_int_equal(files_in_folder(), 5);
    for (int i = 0; i < 2; i++) nm_film_abandon(films[i]);
    assert_int_equal(files_in_folder(), 3);
    empty_folder();
}

static void permissions_are_those_of_the_umask(void **state) {
    (void)state;
    uint8_t in[4 * WIDTH * HEIGHT];
    struct stat made;
    nm_error error;
    fill(in, 3);
    for (int i = 0; i < 2; i++) {
        const mode_t before = umask(i ? 027 : 002);
        assert_int_equal(nm_png_write(in_folder("a.png"), in, WIDTH, HEIGHT, &error), NM_OK);
        umask(before);
        assert_int_equal(stat(in_folder("a.png"), &made), 0);
        assert_int_equal(made.st_mode & 0777, i ? 0640 : 0664);
    }
    char longest[256]; // as long as the system lets a name be: the unfinished one has to be shorter
    memset(longest, 'n', sizeof longest);
    longest[255] = 0;
    assert_int_equal(nm_png_write(in_folder(longest), in, WIDTH, HEIGHT, &error), NM_OK);
    empty_folder();
}

static void pipes_take_pictures_and_no_films(void **state) {
    (void)state;
    uint8_t in[4 * WIDTH * HEIGHT], bytes[8];
    nm_film *film = NULL;
    nm_error error;
    fill(in, 3);
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    alarm(20);
    assert_int_equal(nm_film_open(in_folder("pipe"), WIDTH, HEIGHT, 25, 1, &film, &error), NM_E_IO);
    alarm(0);
    assert_null(film);
    assert_non_null(strstr(error.message, "pipe"));
    const int reader = open(in_folder("pipe"), O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(nm_png_write(in_folder("pipe"), in, WIDTH, HEIGHT, &error), NM_OK);
    assert_int_equal(read(reader, bytes, sizeof bytes), sizeof bytes);
    assert_memory_equal(bytes + 1, "PNG", 3);
    close(reader);
    assert_int_equal(files_in_folder(), 1);
    empty_folder();
}

// --- films -----------------------------------------------------------------------------------------------------------

static void make_film(const char *name, int threads, int frames) {
    uint8_t rgba[4 * WIDTH * HEIGHT];
    nm_film *film = NULL;
    nm_error error;
    if (nm_film_open(in_folder(name), WIDTH, HEIGHT, 25, threads, &film, &error) != NM_OK)
        fail_msg("%s", error.message);
    for (int i = 0; i < frames; i++) {
        fill(rgba, i / 4);
        assert_int_equal(nm_film_add(film, rgba, &error), NM_OK);
    }
    assert_int_equal(nm_film_close(film, &error), NM_OK);
}

static size_t read_all(const char *name, uint8_t *bytes, size_t most) {
    FILE *file = fopen(in_folder(name), "rb");
    assert_non_null(file);
    const size_t size = fread(bytes, 1, most, file);
    fclose(file);
    return size;
}

static void same_frames_same_bytes(void **state) {
    (void)state;
    static uint8_t one[1 << 20], other[1 << 20];
    make_film("1.mp4", 1, 60);
    const size_t size = read_all("1.mp4", one, sizeof one);
    assert_true(size > 1000 && size < sizeof one);
    for (int threads = 0; threads <= 8; threads = threads ? 2 * threads : 2) {
        make_film("n.mp4", threads, 60);
        assert_int_equal(read_all("n.mp4", other, sizeof other), size);
        assert_memory_equal(one, other, size);
    }
    empty_folder();
}

/// Decodes a film; returns the frames and the middle brightness (luma) of the last one at two places.
static int decode(const char *path, int *left, int *right) {
    AVFormatContext *format = NULL;
    assert_true(avformat_open_input(&format, path, NULL, NULL) >= 0);
    assert_true(avformat_find_stream_info(format, NULL) >= 0);
    const AVCodec *codec = avcodec_find_decoder(format->streams[0]->codecpar->codec_id);
    AVCodecContext *decoder = avcodec_alloc_context3(codec);
    avcodec_parameters_to_context(decoder, format->streams[0]->codecpar);
    assert_true(avcodec_open2(decoder, codec, NULL) >= 0);
    assert_int_equal(format->streams[0]->avg_frame_rate.num, 25 * format->streams[0]->avg_frame_rate.den);
    assert_int_equal(decoder->width, WIDTH);
    assert_int_equal(decoder->height, HEIGHT);
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    int frames = 0;
    for (int done = 0; !done;) {
        done = av_read_frame(format, packet) < 0;
        assert_true(avcodec_send_packet(decoder, done ? NULL : packet) >= 0);
        av_packet_unref(packet);
        while (avcodec_receive_frame(decoder, frame) >= 0) {
            frames++;
            *left = frame->data[0][20 * frame->linesize[0] + 2];
            *right = frame->data[0][20 * frame->linesize[0] + WIDTH - 3];
        }
    }
    av_frame_free(&frame);
    av_packet_free(&packet);
    avcodec_free_context(&decoder);
    avformat_close_input(&format);
    return frames;
}

static void a_film_can_be_played(void **state) {
    (void)state;
    int left = 0, right = 0;
    make_film("a.mp4", 2, 37);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(decode(in_folder("a.mp4"), &left, &right), 37);
    // row 20: green 100; red 8 on the left, 244 on the right; BT.709 luma in video range, the blue stripe elsewhere
    assert_in_range(left, 16 + 62 - 10, 16 + 62 + 14);
    assert_in_range(right, 16 + 106 - 14, 16 + 106 + 14);
    empty_folder();
}

static void films_that_can_not_be(void **state) {
    (void)state;
    nm_film *film = NULL;
    nm_error error;
    assert_int_equal(nm_film_open(in_folder("a.mp4"), 63, 48, 25, 1, &film, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "even"));
    assert_int_equal(nm_film_open(in_folder("a.mp4"), 64, 47, 25, 1, &film, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_film_open(in_folder("a.mp4"), 64, 48, 0, 1, &film, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_film_open(in_folder("a.mp4"), 64, 48, NM_FILM_MOST_FPS + 1, 1, &film, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_film_open(in_folder("a.mp4"), 64, NM_FILM_MOST_PX + 2, 25, 1, &film, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_film_open("/nowhere/a.mp4", 64, 48, 25, 1, &film, &error), NM_E_IO);
    assert_null(film);
    assert_int_equal(nm_film_open(in_folder("a.mp4"), 64, 48, 25, 1, &film, &error), NM_OK);
    assert_int_equal(nm_film_close(film, &error), NM_E_ARGUMENT); // without a frame
    assert_int_equal(files_in_folder(), 0);
}

/// Frames until the disk is full, or until the end tells it.
static nm_status film_noise(const char *name, nm_error *error) {
    uint8_t rgba[4 * WIDTH * HEIGHT];
    uint32_t seed = 1;
    nm_film *film = NULL;
    nm_status status = nm_film_open(in_folder(name), WIDTH, HEIGHT, 25, 1, &film, error);
    assert_int_equal(status, NM_OK);
    for (int i = 0; status == NM_OK && i < 150; i++) {
        for (size_t k = 0; k < sizeof rgba; k++) rgba[k] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
        status = nm_film_add(film, rgba, error);
    }
    if (status == NM_OK) return nm_film_close(film, error);
    // from then on everything fails in the same way
    memset(error, 0, sizeof *error);
    assert_int_equal(nm_film_add(film, rgba, error), status);
    assert_true(error->message[0] != 0);
    assert_int_equal(nm_film_close(film, error), status);
    return status;
}

static void full_disk_leaves_no_film(void **state) {
    (void)state;
    nm_error error;
    const struct rlimit little = {50000, RLIM_INFINITY}, much = {RLIM_INFINITY, RLIM_INFINITY};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    const nm_status status = film_noise("a.mp4", &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &much), 0);
    assert_int_equal(status, NM_E_IO);
    assert_non_null(strstr(error.message, "too large"));
    assert_int_equal(files_in_folder(), 0);
    assert_int_equal(symlink("/dev/full", in_folder("full.mp4")), 0);
    assert_int_equal(film_noise("full.mp4", &error), NM_E_IO);
    assert_non_null(strstr(error.message, "No space left"));
    assert_int_equal(files_in_folder(), 1);
    empty_folder();
}

static void an_abandoned_film_is_gone(void **state) {
    (void)state;
    uint8_t rgba[4 * WIDTH * HEIGHT];
    nm_film *film = NULL;
    nm_error error;
    fill(rgba, 0);
    assert_int_equal(nm_film_open(in_folder("a.mp4"), WIDTH, HEIGHT, 25, 1, &film, &error), NM_OK);
    assert_int_equal(nm_film_add(film, rgba, &error), NM_OK);
    nm_film_abandon(film);
    nm_film_abandon(NULL);
    assert_int_equal(files_in_folder(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(png_there_and_back),
                                       cmocka_unit_test(png_in_memory),
                                       cmocka_unit_test(damaged_png),
                                       cmocka_unit_test(no_place_for_a_png),
                                       cmocka_unit_test(links_stay_links),
                                       cmocka_unit_test(names_in_wait_are_left_alone),
                                       cmocka_unit_test(permissions_are_those_of_the_umask),
                                       cmocka_unit_test(pipes_take_pictures_and_no_films),
                                       cmocka_unit_test(same_frames_same_bytes),
                                       cmocka_unit_test(a_film_can_be_played),
                                       cmocka_unit_test(films_that_can_not_be),
                                       cmocka_unit_test(full_disk_leaves_no_film),
                                       cmocka_unit_test(an_abandoned_film_is_gone)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
