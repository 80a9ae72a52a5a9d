-- SPDX-License-Identifier: BSD-3-Clause
-- wrk's own figures as JSON, into the file named by STACKDUEL_WRK_JSON. Knows nothing of trials.
--
-- CPU time is read here and not by the harness, because only wrk knows when its load begins and ends: its start-up
-- and the writing below would otherwise count, and a polling server burns a core during both. A harness on another machine
-- is told when, for it has to read the server's: with STACKDUEL_WRK_TELLS a line LOADING and a line LOADED come out.

local ffi = require("ffi")
local stat_before, began

-- struct stats of wrk's stats.h. By its own latency(i) each value is looked for from the first on, a minute where the
-- longest latency is a second.
ffi.cdef("typedef struct { uint64_t count, limit, min, max, data[]; } wrk_stats;")

local function proc_stat()
   local file = assert(io.open("/proc/stat", "r"))
   local text = file:read("*a")
   file:close()
   return text:match("^(.-)intr ") or text
end

-- wrk's own clock is the one that people and programs set.
local function uptime()
   local file = assert(io.open("/proc/uptime", "r"))
   local seconds = file:read("*n")
   file:close()
   return seconds
end

local function quote(text)
   return '"' .. text:gsub('[%c"\\]', function(c) return string.format("\\u%04x", c:byte()) end) .. '"'
end

local function tell(what)
   if os.getenv("STACKDUEL_WRK_TELLS") then
      io.write(what, "\n")
      io.flush()
   end
end

function setup(thread)
   if not stat_before then
      tell("LOADING")
   end
   stat_before = stat_before or proc_stat()
   began = began or uptime()
end

function done(summary, latency, requests)
   local seconds = uptime() - began
   local stat_after = proc_stat()
   tell("LOADED")
   local out = assert(io.open(assert(os.getenv("STACKDUEL_WRK_JSON")), "w"))
   local e = summary.errors
   out:write(string.format(
      '{"duration_us":%.0f,"steady_seconds":%.2f,"requests":%d,"bytes":%d,\n"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d},\n',
      summary.duration, seconds, summary.requests, summary.bytes, e.connect, e.read, e.write, e.status, e.timeout))
   out:write('"proc_stat":{"before":', quote(stat_before), ',"after":', quote(stat_after), '},\n')
   out:write('"latency_us":[')
   local stats = ffi.cast("wrk_stats **", ffi.cast("void *", latency))[0]
   local values, comma = #latency, ""
   assert(values == 0 or tonumber(stats.max) == latency.max, "this wrk has another struct stats")
   for value = tonumber(stats.min), values > 0 and tonumber(stats.max) or -1 do
      local count = tonumber(stats.data[value])
      if count > 0 then
         out:write(comma, string.format("[%d,%d]", value, count))
         comma, values = ",", values - 1
      end
   end
   assert(values == 0, "this wrk has another struct stats")
   out:write("]}\n")
   assert(out:close())
end
