-- A constant rate for wrk, which has none of its own: request k of a thread is planned for begin + k / rate, and the lag is
-- noted when wrk asks for the request's text, right before it sends it. wrk's timers count whole milliseconds.
-- Arguments: RATE (of this thread), SECONDS.
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } bench_time;
int clock_gettime(int clock, bench_time *now);
]]
local at = ffi.new("bench_time")
local function now()
    ffi.C.clock_gettime(1, at)
    return tonumber(at.seconds) + tonumber(at.nanoseconds) / 1e9
end

local threads = {}
function setup(thread) table.insert(threads, thread) end

function init(arguments)
    rate = tonumber(arguments[1])
    most = rate * tonumber(arguments[2])
    begun = now()
    planned, sent = 0, 0
    lags = {}
end

function delay()
    local wait = begun + planned / rate - now()
    planned = planned + 1
    return wait > 0 and math.ceil(wait * 1000) or 0
end

function request()
    -- Requests leave in the order of their planned times, whichever connection has them.
    local lag = now() - (begun + sent / rate)
    sent = sent + 1
    lags[sent] = math.max(0, lag)
    return wrk.format()
end

function done(summary, latency, requests)
    for _, thread in ipairs(threads) do
        local all = thread:get("lags")
        table.sort(all)
        print(string.format("bench: sent %d p50 %.6f p99 %.6f max %.6f", #all, all[math.ceil(#all * 0.5)],
            all[math.ceil(#all * 0.99)], all[#all]))
    end
end
