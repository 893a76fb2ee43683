/// SDL2 around the viewer: window, events, pixels to the screen. Everything that decides anything is in viewer_state.c.
#include "render/viewer/viewer_sdl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <SDL.h>
#include <epoxy/gl.h>

#include "render/media.h"

#define IDLE_MS 50       ///< between looks at the clock while nothing moves
#define SHORTEST_MS 15.0 ///< of a frame where the display does not set the pace

typedef struct glass {
    SDL_Window *window;
    SDL_GLContext context;
    nm_renderer *renderer;
    int width, height; ///< px
    int window_width, window_height;
    float scale; ///< as configured
    int paced;   ///< the display sets the pace
    uint8_t *pixels;
    char title[256];
} glass;

// --- opening ---------------------------------------------------------------------------------------------------------

static nm_status open_window(glass *g, const nm_viewer_window *config, nm_error *error) {
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1"); // signals are the program's affair
#ifdef __linux__
    // left alone, SDL goes on without a display to drivers that draw where nobody looks; who wants them names them
    SDL_SetHintWithPriority(SDL_HINT_VIDEODRIVER, getenv("XDG_RUNTIME_DIR") ? "x11,wayland" : "x11",
                            SDL_HINT_DEFAULT); // SDL_VIDEODRIVER of the environment is stronger
#endif
    if (SDL_InitSubSystem(SDL_INIT_VIDEO) != 0)
        return NM_ERROR(error, NM_E_UNSUPPORTED,
                        "no display to open a window on (%s); nearmiss render makes pictures without one",
                        SDL_GetError());
    SDL_GL_SetAttribute(SDL_GL_CONTEXT_MAJOR_VERSION, 3);
    SDL_GL_SetAttribute(SDL_GL_CONTEXT_MINOR_VERSION, 3);
    SDL_GL_SetAttribute(SDL_GL_CONTEXT_PROFILE_MASK, SDL_GL_CONTEXT_PROFILE_CORE);
    SDL_GL_SetAttribute(SDL_GL_DOUBLEBUFFER, 1);
    SDL_GL_SetAttribute(SDL_GL_DEPTH_SIZE, 24);
    g->window = SDL_CreateWindow("nearmiss", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, config->width,
                                 config->height, SDL_WINDOW_OPENGL | SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI);
    if (!g->window) return NM_ERROR(error, NM_E_UNSUPPORTED, "no window with OpenGL: %s", SDL_GetError());
    g->context = SDL_GL_CreateContext(g->window);
    if (!g->context) return NM_ERROR(error, NM_E_UNSUPPORTED, "no OpenGL 3.3: %s", SDL_GetError());
    g->paced = SDL_GL_SetSwapInterval(1) == 0;
    return nm_renderer_create(&g->renderer, error);
}

static void close_window(glass *g) {
    if (g->context) nm_renderer_destroy(g->renderer);
    if (g->context) SDL_GL_DeleteContext(g->context);
    if (g->window) SDL_DestroyWindow(g->window);
    SDL_QuitSubSystem(SDL_INIT_VIDEO);
    free(g->pixels);
}

// --- events ----------------------------------------------------------------------------------------------------------

static int translate_key(SDL_Keycode key) {
    switch (key) {
    case SDLK_RETURN:
    case SDLK_KP_ENTER:
        return NM_KEY_ENTER;
    case SDLK_ESCAPE:
        return NM_KEY_ESCAPE;
    case SDLK_BACKSPACE:
        return NM_KEY_BACKSPACE;
    case SDLK_TAB:
        return NM_KEY_TAB;
    case SDLK_LEFT:
        return NM_KEY_LEFT;
    case SDLK_RIGHT:
        return NM_KEY_RIGHT;
    case SDLK_UP:
        return NM_KEY_UP;
    case SDLK_DOWN:
        return NM_KEY_DOWN;
    case SDLK_PAGEUP:
        return NM_KEY_PAGE_UP;
    case SDLK_PAGEDOWN:
        return NM_KEY_PAGE_DOWN;
    case SDLK_HOME:
        return NM_KEY_HOME;
    case SDLK_END:
        return NM_KEY_END;
    case SDLK_F1:
        return NM_KEY_F1;
    case SDLK_F5:
        return NM_KEY_F5;
    case SDLK_F12:
        return NM_KEY_F12;
    case SDLK_KP_PLUS:
        return '+';
    case SDLK_KP_MINUS:
        return '-';
    default:
        return key > 0 && key < 128 ? (int)key : NM_KEY_NONE;
    }
}

/// Tells the viewer how large it is, px, and how small they are.
static void resize(glass *g, nm_viewer *viewer) {
    SDL_GetWindowSize(g->window, &g->window_width, &g->window_height);
    SDL_GL_GetDrawableSize(g->window, &g->width, &g->height);
    if (g->width < 1 || g->height < 1) return;
    const float density = g->window_width > 0 ? (float)g->width / (float)g->window_width : 1.0f;
    nm_viewer_event_handle(
        viewer, &(nm_viewer_event){
                    .kind = NM_VIEWER_RESIZE, .width = g->width, .height = g->height, .amount = g->scale * density});
}

static void window_event(glass *g, nm_viewer *viewer, const SDL_WindowEvent *in) {
    nm_viewer_event out = {.kind = NM_VIEWER_VISIBILITY, .amount = 1.0f};
    switch (in->event) {
    case SDL_WINDOWEVENT_SIZE_CHANGED:
#if SDL_VERSION_ATLEAST(2, 0, 18)
    case SDL_WINDOWEVENT_DISPLAY_CHANGED: // maybe to one with smaller pixels
#endif
        resize(g, viewer);
        return;
    case SDL_WINDOWEVENT_MINIMIZED:
    case SDL_WINDOWEVENT_HIDDEN:
        out.amount = 0.0f;
        break;
    case SDL_WINDOWEVENT_RESTORED:
    case SDL_WINDOWEVENT_SHOWN:
    case SDL_WINDOWEVENT_EXPOSED:
        break;
    case SDL_WINDOWEVENT_CLOSE:
        out.kind = NM_VIEWER_CLOSE;
        break;
    default:
        return;
    }
    nm_viewer_event_handle(viewer, &out);
}

static void handle(glass *g, nm_viewer *viewer, const SDL_Event *in) {
    const float sx = g->window_width > 0 ? (float)g->width / (float)g->window_width : 1.0f;
    const float sy = g->window_height > 0 ? (float)g->height / (float)g->window_height : 1.0f;
    nm_viewer_event out = {0};
    int mouse_x, mouse_y;
    switch (in->type) {
    case SDL_QUIT:
        out.kind = NM_VIEWER_CLOSE;
        break;
    case SDL_WINDOWEVENT:
        window_event(g, viewer, &in->window);
        return;
    case SDL_KEYDOWN:
        out.kind = NM_VIEWER_KEY;
        out.key = translate_key(in->key.keysym.sym);
        out.shift = (in->key.keysym.mod & KMOD_SHIFT) != 0;
        if (out.key == NM_KEY_NONE || in->key.keysym.mod & (KMOD_CTRL | KMOD_ALT | KMOD_GUI)) return;
        break;
    case SDL_TEXTINPUT:
        nm_viewer_type(viewer, in->text.text);
        return;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        out.kind = in->type == SDL_MOUSEBUTTONDOWN ? NM_VIEWER_MOUSE_DOWN : NM_VIEWER_MOUSE_UP;
        out.x = (float)in->button.x * sx;
        out.y = (float)in->button.y * sy;
        out.button = in->button.button;
        SDL_CaptureMouse(in->type == SDL_MOUSEBUTTONDOWN ? SDL_TRUE : SDL_FALSE); // drags may leave the window
        break;
    case SDL_MOUSEMOTION:
        out.kind = NM_VIEWER_MOUSE_MOVE;
        out.x = (float)in->motion.x * sx;
        out.y = (float)in->motion.y * sy;
        break;
    case SDL_MOUSEWHEEL:
        SDL_GetMouseState(&mouse_x, &mouse_y);
        out.kind = NM_VIEWER_WHEEL;
        out.x = (float)mouse_x * sx;
        out.y = (float)mouse_y * sy;
        out.amount = in->wheel.direction == SDL_MOUSEWHEEL_FLIPPED ? -(float)in->wheel.y : (float)in->wheel.y;
        break;
    default:
        return;
    }
    nm_viewer_event_handle(viewer, &out);
}

// --- pictures --------------------------------------------------------------------------------------------------------

/// The frame just drawn, before it is swapped away.
static nm_status save(glass *g, const char *path, nm_error *error) {
    const size_t row = (size_t)g->width * 4;
    uint8_t *pixels = realloc(g->pixels, row * (size_t)(g->height + 1));
    if (!pixels) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a picture of %d x %d", g->width, g->height);
    g->pixels = pixels;
    uint8_t *spare = pixels + row * (size_t)g->height;
    glPixelStorei(GL_PACK_ALIGNMENT, 4);
    glReadBuffer(GL_BACK);
    glReadPixels(0, 0, g->width, g->height, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
    for (int low = 0, high = g->height - 1; low < high; low++, high--) { // GL has the lowest row first
        memcpy(spare, pixels + row * (size_t)low, row);
        memcpy(pixels + row * (size_t)low, pixels + row * (size_t)high, row);
        memcpy(pixels + row * (size_t)high, spare, row);
    }
    return nm_png_write(path, pixels, g->width, g->height, error);
}

/// Under the name the viewer gave, or that with a number where there is such a file already.
static void save_on_demand(glass *g, nm_viewer *viewer) {
    char name[128], path[160];
    nm_error error;
    nm_error_clear(&error);
    if (!nm_viewer_take_screenshot(viewer, name, sizeof name)) return;
    snprintf(path, sizeof path, "%s", name);
    for (int number = 2; access(path, F_OK) == 0 && number < 1000; number++)
        snprintf(path, sizeof path, "%.*s-%d.png", (int)(strlen(name) - 4), name, number);
    if (save(g, path, &error) == NM_OK)
        nm_viewer_say(viewer, "saved %s", path);
    else
        nm_viewer_say(viewer, "not saved: %s", error.message);
}

static void show_title(glass *g, const nm_viewer *viewer) {
    char title[sizeof g->title];
    nm_viewer_title(viewer, title, sizeof title);
    if (strcmp(title, g->title) == 0) return;
    memcpy(g->title, title, sizeof title);
    SDL_SetWindowTitle(g->window, title);
}

static double seconds_between(uint64_t from, uint64_t to) {
    return (double)(to - from) / (double)SDL_GetPerformanceFrequency();
}

/// Draws what is to be drawn. last: the picture that is wanted before the end.
static nm_status draw(glass *g, nm_viewer *viewer, const char *last, nm_viewer_window_stats *stats, nm_error *error) {
    const uint64_t start = SDL_GetPerformanceCounter();
    nm_status status = nm_viewer_draw(viewer, g->renderer, error);
    if (status != NM_OK) return status;
    stats->frames++;
    stats->draw_seconds += seconds_between(start, SDL_GetPerformanceCounter());
    if (last) {
        status = save(g, last, error);
        if (status != NM_OK) return status;
    }
    save_on_demand(g, viewer);
    SDL_GL_SwapWindow(g->window);
    const double took = seconds_between(start, SDL_GetPerformanceCounter()) * 1e3;
    if ((!g->paced || took < 2.0) && took < SHORTEST_MS) SDL_Delay((Uint32)(SHORTEST_MS - took));
    return NM_OK;
}

static nm_status loop(glass *g, nm_viewer *viewer, const nm_viewer_window *config, nm_viewer_window_stats *stats,
                      nm_error *error) {
    const uint64_t start = SDL_GetPerformanceCounter();
    uint64_t before = start;
    for (;;) {
        SDL_Event event;
        // while nothing moves, wait for the user instead of drawing the same again
        int got = nm_viewer_get(viewer).animating ? SDL_PollEvent(&event) : SDL_WaitEventTimeout(&event, IDLE_MS);
        for (; got; got = SDL_PollEvent(&event)) handle(g, viewer, &event);
        const uint64_t now = SDL_GetPerformanceCounter();
        nm_viewer_tick(viewer, (float)seconds_between(before, now));
        before = now;
        stats->seconds = seconds_between(start, now);
        const int stopped = config->stop && config->stop(config->stop_context);
        const int over = (config->exit_after > 0.0 && stats->seconds >= config->exit_after) || stopped;
        const nm_viewer_status status = nm_viewer_get(viewer);
        const int last = over || status.closed;
        show_title(g, viewer);
        if (!status.visible && !last) SDL_Delay(IDLE_MS);
        if (status.animating || (last && config->screenshot)) {
            nm_status drawn = draw(g, viewer, last ? config->screenshot : NULL, stats, error);
            if (drawn != NM_OK) return drawn;
        }
        if (stopped) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        if (last) return NM_OK;
    }
}

nm_status nm_viewer_run(nm_viewer *viewer, const nm_viewer_window *window, nm_viewer_window_stats *stats,
                        nm_error *error) {
    NM_ASSERT(viewer && window);
    nm_viewer_window_stats own = {0};
    glass g = {.scale = window->scale > 0.0f ? window->scale : 1.0f};
    nm_status status = open_window(&g, window, error);
    if (status == NM_OK) {
        snprintf(own.renderer, sizeof own.renderer, "%s", nm_renderer_name(g.renderer));
        resize(&g, viewer);
        status = loop(&g, viewer, window, &own, error);
    }
    close_window(&g);
    if (stats) *stats = own;
    return status;
}
