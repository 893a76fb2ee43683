/// Contexts without a window: EGL on a device, or on Mesa's surfaceless platform where EGL has no devices.
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <epoxy/egl.h>
#include <epoxy/gl.h>

#include "render/headless.h"

#define DEVICES_MAX 32
#define SIZE_MAX_PX 8192
#define COPIES 2 // under way at most

struct nm_headless {
    EGLDisplay display;
    EGLContext context;
    nm_renderer *renderer;
    int width, height;
    GLuint framebuffer, colour, depth;
    GLuint copies[COPIES]; ///< pixel buffers, a ring
    int begun, waiting;    ///< next to begin, number under way
};

/// What was tried and why it failed, for the message.
typedef struct attempts {
    char text[360];
    size_t used;
} attempts;

static void note(attempts *tried, const char *format, ...) NM_PRINTF(2, 3);
static void note(attempts *tried, const char *format, ...) {
    va_list args;
    if (tried->used + 4 >= sizeof tried->text) return;
    if (tried->used) tried->used += (size_t)snprintf(tried->text + tried->used, 3, "; ");
    va_start(args, format);
    const int more = vsnprintf(tried->text + tried->used, sizeof tried->text - tried->used, format, args);
    va_end(args);
    tried->used += more > 0 ? (size_t)more : 0;
    if (tried->used >= sizeof tried->text) tried->used = sizeof tried->text - 1;
}

static int has_word(const char *list, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = list; at && (at = strstr(at, word)) != NULL; at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == 0)) return 1;
    return 0;
}

static const char *egl_error_name(EGLint code) {
    switch (code) {
    case EGL_NOT_INITIALIZED:
        return "EGL_NOT_INITIALIZED";
    case EGL_BAD_ACCESS:
        return "EGL_BAD_ACCESS";
    case EGL_BAD_ALLOC:
        return "EGL_BAD_ALLOC";
    case EGL_BAD_MATCH:
        return "EGL_BAD_MATCH: no OpenGL 3.3 core";
    case EGL_BAD_CONFIG:
        return "EGL_BAD_CONFIG";
    case EGL_BAD_ATTRIBUTE:
        return "EGL_BAD_ATTRIBUTE";
    case EGL_BAD_PARAMETER:
        return "EGL_BAD_PARAMETER";
    default:
        return "no reason given";
    }
}

/// An OpenGL 3.3 core context on a display, current in this thread. 0 with a note when it can not be had.
static int make_current(EGLDisplay display, nm_headless *headless, const char *what, attempts *tried) {
    static const EGLint wanted[] = {EGL_CONTEXT_MAJOR_VERSION_KHR,
                                    3,
                                    EGL_CONTEXT_MINOR_VERSION_KHR,
                                    3,
                                    EGL_CONTEXT_OPENGL_PROFILE_MASK_KHR,
                                    EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT_KHR,
                                    EGL_NONE};
    if (display == EGL_NO_DISPLAY || !eglInitialize(display, NULL, NULL)) {
        note(tried, "%s: %s", what, egl_error_name(eglGetError()));
        return 0;
    }
    const char *extensions = eglQueryString(display, EGL_EXTENSIONS);
    if (!has_word(extensions, "EGL_KHR_surfaceless_context") || !has_word(extensions, "EGL_KHR_create_context")) {
        note(tried, "%s: no surfaceless contexts", what);
        return 0;
    }
    EGLConfig config = EGL_NO_CONFIG_KHR;
    if (!has_word(extensions, "EGL_KHR_no_config_context") && !has_word(extensions, "EGL_MESA_configless_context")) {
        static const EGLint any[] = {EGL_SURFACE_TYPE, EGL_PBUFFER_BIT, EGL_RENDERABLE_TYPE, EGL_OPENGL_BIT, EGL_NONE};
        EGLint found = 0;
        if (!eglChooseConfig(display, any, &config, 1, &found) || found < 1) {
            note(tried, "%s: no configuration for OpenGL", what);
            return 0;
        }
    }
    EGLContext context = EGL_NO_CONTEXT;
    if (eglBindAPI(EGL_OPENGL_API)) context = eglCreateContext(display, config, EGL_NO_CONTEXT, wanted);
    if (context == EGL_NO_CONTEXT || !eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, context)) {
        note(tried, "%s: %s", what, egl_error_name(eglGetError()));
        if (context != EGL_NO_CONTEXT) eglDestroyContext(display, context);
        return 0;
    }
    headless->display = display;
    headless->context = context;
    return 1;
}

static int try_device(EGLDeviceEXT device, int number, nm_headless *headless, attempts *tried) {
    char what[24];
    snprintf(what, sizeof what, "device %d", number);
    return make_current(eglGetPlatformDisplayEXT(EGL_PLATFORM_DEVICE_EXT, device, NULL), headless, what, tried);
}

static int is_software(EGLDeviceEXT device) {
    return has_word(eglQueryDeviceStringEXT(device, EGL_EXTENSIONS), "EGL_MESA_device_software");
}

/// wanted  -1 any, a GPU before software; -2 software; else the number
static int try_devices(const char *client, int wanted, nm_headless *headless, attempts *tried) {
    EGLDeviceEXT devices[DEVICES_MAX];
    EGLint count = 0;
    if (!has_word(client, "EGL_EXT_platform_device") ||
        (!has_word(client, "EGL_EXT_device_base") &&
         !(has_word(client, "EGL_EXT_device_enumeration") && has_word(client, "EGL_EXT_device_query")))) {
        note(tried, "this EGL lists no devices");
        return 0;
    }
    if (!eglQueryDevicesEXT(DEVICES_MAX, devices, &count)) count = 0;
    if (wanted >= 0) {
        if (wanted < count) return try_device(devices[wanted], wanted, headless, tried);
        note(tried, "there is no device %d, EGL lists %d", wanted, (int)count);
        return 0;
    }
    for (int software = wanted == -2; software <= 1; software++)
        for (int i = 0; i < count; i++)
            if (is_software(devices[i]) == software && try_device(devices[i], i, headless, tried)) return 1;
    if (count == 0) note(tried, "EGL lists no devices");
    return 0;
}

/// Mesa picks the device itself here; for "software" it has to be one.
static int try_surfaceless(const char *client, int wanted, nm_headless *headless, attempts *tried) {
    if (!has_word(client, "EGL_MESA_platform_surfaceless")) return 0;
    EGLDisplay display = eglGetPlatformDisplayEXT(EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL);
    if (!make_current(display, headless, "surfaceless", tried)) return 0;
    const char *name = (const char *)glGetString(GL_RENDERER);
    if (wanted != -2 || (name && (strstr(name, "llvmpipe") || strstr(name, "softpipe")))) return 1;
    note(tried, "surfaceless: %.60s is not software", name ? name : "?");
    eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
    eglDestroyContext(display, headless->context);
    headless->context = EGL_NO_CONTEXT;
    return 0;
}

/// What a thread draws to.
typedef struct bound {
    EGLDisplay display;
    EGLContext context;
    EGLSurface draw, read;
} bound;

static bound bound_now(void) {
    return (bound){eglGetCurrentDisplay(), eglGetCurrentContext(), eglGetCurrentSurface(EGL_DRAW),
                   eglGetCurrentSurface(EGL_READ)};
}

static void bind_again(const bound *before) {
    if (before->context != EGL_NO_CONTEXT) eglMakeCurrent(before->display, before->draw, before->read, before->context);
}

/// libEGL and libGL are loaded when they are needed: the program runs without. libepoxy would abort where one is
/// missing.
static nm_status load_libraries(nm_error *error) {
    if (!dlopen("libEGL.so.1", RTLD_LAZY | RTLD_GLOBAL)) // stays loaded, as libepoxy holds it too
        return NM_ERROR(error, NM_E_UNSUPPORTED, "no pictures without EGL: libEGL.so.1 is missing (Debian: libegl1)");
    if (!dlopen("libOpenGL.so.0", RTLD_LAZY) && !dlopen("libGL.so.1", RTLD_LAZY))
        return NM_ERROR(error, NM_E_UNSUPPORTED, "no pictures without OpenGL: libGL.so.1 is missing (Debian: libgl1)");
    return NM_OK;
}

/// *wanted: as try_devices has it.
static nm_status parse_device(const char *device, int *wanted, nm_error *error) {
    *wanted = device ? -2 : -1;
    if (!device || strcmp(device, "software") == 0) return NM_OK;
    char *end;
    const long number = strtol(device, &end, 10);
    if (end == device || *end || number < 0 || number > DEVICES_MAX)
        return NM_ERROR(error, NM_E_ARGUMENT, "'%.40s' is not a device for pictures: software, or a number from 0",
                        device);
    *wanted = (int)number;
    return NM_OK;
}

static nm_status create_context(int wanted, nm_headless *headless, nm_error *error) {
    attempts tried = {{0}, 0};
    const char *client = eglQueryString(EGL_NO_DISPLAY, EGL_EXTENSIONS);
    if (!client || !has_word(client, "EGL_EXT_platform_base"))
        return NM_ERROR(error, NM_E_UNSUPPORTED, "no pictures: EGL finds no driver (Debian: libegl-mesa0)");
    if (try_devices(client, wanted, headless, &tried)) return NM_OK;
    if (wanted < 0 && try_surfaceless(client, wanted, headless, &tried)) return NM_OK;
    return NM_ERROR(error, NM_E_UNSUPPORTED, "no OpenGL 3.3 without a screen: %s", tried.text);
}

static void forget_copies(nm_headless *headless) {
    headless->begun = headless->waiting = 0;
}

nm_status nm_headless_resize(nm_headless *headless, int width, int height, nm_error *error) {
    NM_ASSERT(width >= 1 && height >= 1 && width <= SIZE_MAX_PX && height <= SIZE_MAX_PX);
    if (width == headless->width && height == headless->height) return NM_OK;
    headless->width = headless->height = 0; // until it is whole
    glBindRenderbuffer(GL_RENDERBUFFER, headless->colour);
    glRenderbufferStorage(GL_RENDERBUFFER, GL_RGBA8, width, height);
    glBindRenderbuffer(GL_RENDERBUFFER, headless->depth);
    glRenderbufferStorage(GL_RENDERBUFFER, GL_DEPTH_COMPONENT24, width, height);
    glBindFramebuffer(GL_FRAMEBUFFER, headless->framebuffer);
    glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, headless->colour);
    glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_DEPTH_ATTACHMENT, GL_RENDERBUFFER, headless->depth);
    forget_copies(headless);
    for (int i = 0; i < COPIES; i++) {
        glBindBuffer(GL_PIXEL_PACK_BUFFER, headless->copies[i]);
        glBufferData(GL_PIXEL_PACK_BUFFER, (GLsizeiptr)4 * width * height, NULL, GL_STREAM_READ);
    }
    glBindBuffer(GL_PIXEL_PACK_BUFFER, 0);
    const GLenum complete = glCheckFramebufferStatus(GL_FRAMEBUFFER);
    const nm_status status = nm_renderer_check(headless->renderer, NULL);
    if (complete != GL_FRAMEBUFFER_COMPLETE || status != NM_OK)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "no picture of %d x %d px on %s", width, height,
                        nm_renderer_name(headless->renderer));
    headless->width = width;
    headless->height = height;
    return NM_OK;
}

nm_status nm_headless_create(int width, int height, const char *device, nm_headless **result, nm_error *error) {
    *result = NULL;
    if (width < 1 || height < 1 || width > SIZE_MAX_PX || height > SIZE_MAX_PX)
        return NM_ERROR(error, NM_E_ARGUMENT, "a picture of %d x %d px: 1 to %d each", width, height, SIZE_MAX_PX);
    int wanted;
    nm_status status = parse_device(device, &wanted, error);
    if (status == NM_OK) status = load_libraries(error);
    if (status != NM_OK) return status;
    nm_headless *headless = calloc(1, sizeof *headless);
    if (!headless) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    const bound before = bound_now();
    headless->display = EGL_NO_DISPLAY;
    headless->context = EGL_NO_CONTEXT;
    status = create_context(wanted, headless, error);
    if (status == NM_OK) status = nm_renderer_create(&headless->renderer, error);
    if (status == NM_OK) {
        glGenFramebuffers(1, &headless->framebuffer);
        glGenRenderbuffers(1, &headless->colour);
        glGenRenderbuffers(1, &headless->depth);
        glGenBuffers(COPIES, headless->copies);
        status = nm_headless_resize(headless, width, height, error);
    }
    if (status != NM_OK) {
        nm_headless_destroy(headless);
        bind_again(&before);
        return status;
    }
    *result = headless;
    return NM_OK;
}

void nm_headless_destroy(nm_headless *headless) {
    if (!headless) return;
    if (headless->context != EGL_NO_CONTEXT) {
        const bound before = bound_now();
        // What is deleted are names in the current context.
        if (eglMakeCurrent(headless->display, EGL_NO_SURFACE, EGL_NO_SURFACE, headless->context) &&
            headless->renderer) {
            glDeleteFramebuffers(1, &headless->framebuffer);
            glDeleteRenderbuffers(1, &headless->colour);
            glDeleteRenderbuffers(1, &headless->depth);
            glDeleteBuffers(COPIES, headless->copies);
            nm_renderer_destroy(headless->renderer);
        }
        eglMakeCurrent(headless->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
        eglDestroyContext(headless->display, headless->context);
        if (before.context != headless->context) bind_again(&before);
    }
    // The display belongs to the process: another picture may be under way on it.
    free(headless);
}

nm_renderer *nm_headless_renderer(nm_headless *headless) {
    return headless->renderer;
}

nm_viewport nm_headless_viewport(const nm_headless *headless) {
    return (nm_viewport){0, 0, headless->width, headless->height, headless->height};
}

nm_status nm_headless_read_begin(nm_headless *headless, nm_error *error) {
    NM_ASSERT(headless->waiting < COPIES);
    glBindFramebuffer(GL_READ_FRAMEBUFFER, headless->framebuffer);
    glBindBuffer(GL_PIXEL_PACK_BUFFER, headless->copies[headless->begun]);
    glPixelStorei(GL_PACK_ALIGNMENT, 4);
    glReadPixels(0, 0, headless->width, headless->height, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
    glBindBuffer(GL_PIXEL_PACK_BUFFER, 0);
    glFlush();
    const nm_status status = nm_renderer_check(headless->renderer, error);
    if (status != NM_OK) return status; // nothing is under way
    headless->begun = (headless->begun + 1) % COPIES;
    headless->waiting++;
    return NM_OK;
}

nm_status nm_headless_read_end(nm_headless *headless, uint8_t *pixels, nm_error *error) {
    NM_ASSERT(headless->waiting > 0);
    const int oldest = (headless->begun + COPIES - headless->waiting) % COPIES;
    const size_t row = 4 * (size_t)headless->width;
    headless->waiting--;
    glBindBuffer(GL_PIXEL_PACK_BUFFER, headless->copies[oldest]);
    const uint8_t *from =
        glMapBufferRange(GL_PIXEL_PACK_BUFFER, 0, (GLsizeiptr)(row * (size_t)headless->height), GL_MAP_READ_BIT);
    for (int y = 0; from && y < headless->height; y++) // GL counts rows from below
        memcpy(pixels + (size_t)y * row, from + (size_t)(headless->height - 1 - y) * row, row);
    if (from) glUnmapBuffer(GL_PIXEL_PACK_BUFFER);
    glBindBuffer(GL_PIXEL_PACK_BUFFER, 0);
    const nm_status status = nm_renderer_check(headless->renderer, error);
    if (status == NM_OK && !from) return NM_ERROR(error, NM_E_NUMERIC, "OpenGL does not give back the pixels");
    return status;
}

nm_status nm_headless_read(nm_headless *headless, uint8_t *pixels, nm_error *error) {
    NM_ASSERT(headless->waiting == 0);
    const nm_status status = nm_headless_read_begin(headless, error);
    return status == NM_OK ? nm_headless_read_end(headless, pixels, error) : status;
}
