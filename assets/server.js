/* Between the page and its server: what is too large is not sent, what was clicked is said to be heard, and a
   server that does not answer is said too; what it was asked is asked again when it is back. One that is busy says how
   many are before this page, and is asked again in a moment. */
(function () {
  "use strict";

  const PING_MS = 4000; // how often a page in sight looks whether its server is there
  const RETRY_MS = 1000;
  const PATIENCE_MS = 150; // a click that asks the server nothing was heard for so long
  const BACK_MS = 4000;
  const BEFORE = "X-HeadScope-Before";
  // Answers of a proxy whose server is gone.
  const GONE = [502, 503, 504];
  const send = window.fetch.bind(window);
  let working = 0;
  let lost = false;
  let waiting = [];
  let heard = 0;
  let visit = "";
  let queued = 0;

  function place(id) {
    return document.getElementById(id);
  }

  function isUpdate(resource) {
    return String(resource && resource.url ? resource.url : resource).includes("_dash-update-component");
  }

  // The layout is the same for everyone and kept by the browser; a name of its own, by which this visit joins and
  // leaves long work, is put in here.
  function nameVisit(answer) {
    return answer.text().then(function (text) {
      const name = Array.from(window.crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36));
      visit = name.join("");
      return new Response(text.replace("a-new-session", visit), answer);
    });
  }

  // A page that only asks how far some work is does not answer a click.
  function isTick(body) {
    const changed = typeof body === "string" && /"changedPropIds":\[([^\]]*)\]/.exec(body);
    return Boolean(changed && changed[1] && changed[1].split(",").every((name) => name.includes("n_intervals")));
  }

  // Whether an answer would be shown nowhere: its view is not the one that is chosen, and asks again when it is.
  function isUnseen(body) {
    const asked = typeof body === "string" ? JSON.parse(body) : {};
    const tabs = (asked.inputs || []).find((input) => input.id === "view" || input.id === "head-view");
    const output = [].concat(asked.outputs)[0];
    if (!tabs || !output || isTick(body) || typeof output.id !== "string" || asked.changedPropIds.includes(`${tabs.id}.value`)) {
      return false;
    }
    const part = place(output.id);
    const view = part && part.closest(".hs-view, .hs-head-view");
    return Boolean(view) && window.getComputedStyle(view).display === "none";
  }

  function settle() {
    if (!working) {
      window.clearTimeout(heard);
      delete document.documentElement.dataset.heard;
    }
  }

  // Which part of the page a click is for: it is dimmed at once, so that nobody clicks twice.
  function partOf(target) {
    if (target.closest("#run, [data-press*='suggestion'], #guide button")) {
      return "all";
    }
    if (target.closest("[data-choose], #head-view, #hide-first, [id*='window-button']")) {
      return "head";
    }
    if (target.closest("#toggle-head, [data-press], #clear-ablation, #view, .hs-token, #ablation-mode, #shown-position")) {
      return "answer";
    }
    return target.closest("#page button, #page select, #page input") ? "page" : "";
  }

  function hear(part) {
    if (!part) {
      return;
    }
    document.documentElement.dataset.heard = part;
    window.clearTimeout(heard);
    heard = window.setTimeout(settle, PATIENCE_MS);
  }

  document.addEventListener("click", (event) => event.target.closest && hear(partOf(event.target)), true);
  document.addEventListener("change", (event) => event.target.closest && hear(partOf(event.target)), true);
  document.addEventListener("keydown", function (event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.id === "prompt") {
      hear("all");
    }
  }, true);

  function say(isLost) {
    const notice = place("server-notice");
    if (notice) {
      notice.hidden = !isLost;
      notice.dataset.state = isLost ? "lost" : "";
    }
    document.documentElement.toggleAttribute("data-lost", isLost);
  }

  function retry() {
    ping().then(function (there) {
      if (there && lost) {
        lost = false;
        say(false);
        const back = place("server-back");
        if (back) {
          back.hidden = false;
          window.setTimeout(() => (back.hidden = true), BACK_MS);
        }
        const again = waiting;
        waiting = [];
        again.forEach((resume) => resume());
      } else if (lost) {
        window.setTimeout(retry, RETRY_MS);
      }
    });
  }

  function ping() {
    return send(window.headscopeAddresses.of("/healthz"), { cache: "no-store" }).then(
      (answer) => answer.ok,
      () => false
    );
  }

  function lose() {
    if (!lost) {
      lost = true;
      say(true);
      window.setTimeout(retry, RETRY_MS);
    }
  }

  function untilBack() {
    lose();
    return new Promise((resolve) => waiting.push(resolve));
  }

  // How many are before this page, as long as any of its requests waits for a turn.
  function sayBusy(before) {
    const notice = place("server-busy");
    if (notice) {
      notice.querySelector("span").textContent = before || notice.querySelector("span").textContent;
      notice.hidden = !queued;
    }
  }

  function whenFree(answer) {
    queued += 1;
    sayBusy(answer.headers.get(BEFORE));
    const seconds = Number(answer.headers.get("Retry-After")) || 1;
    return new Promise((resolve) => window.setTimeout(resolve, 1000 * seconds));
  }

  function isBusy(answer) {
    return answer.headers.has(BEFORE);
  }

  // An answer is there when all of it is: a server may go in the middle of one.
  function whole(answer) {
    return answer.arrayBuffer().then((body) => new Response(body.byteLength ? body : null, answer));
  }

  // The same request until it is answered, maybe by another server: none keeps anything of a page, so asking twice
  // does no harm.
  function ask(resource, options) {
    const again = () => untilBack().then(() => ask(resource, options));
    return send(resource, options)
      .then(function (answer) {
        if (isBusy(answer)) {
          return whenFree(answer).then(() => ask(resource, options)).finally(function () {
            queued -= 1;
            sayBusy();
          });
        }
        return GONE.includes(answer.status) ? again() : whole(answer);
      })
      .catch(function (error) {
        if (error && error.name === "AbortError") {
          throw error;
        }
        return again();
      });
  }

  window.fetch = function (resource, options) {
    const body = options && options.body;
    const alert = place("request-alert");
    const limit = Number(alert && alert.dataset.limit) || Infinity;
    // A request that is too large is not sent: the server would end the connection before its answer is read.
    // A character takes at most four bytes.
    if (typeof body === "string" && body.length > limit / 4 && new Blob([body]).size > limit) {
      alert.hidden = false;
      return Promise.resolve(new Response("", { status: 413 }));
    }
    if (String(resource).endsWith("_dash-layout")) {
      return ask(resource, options).then(nameVisit);
    }
    if (String(resource).endsWith("_dash-dependencies")) {
      return ask(resource, options);
    }
    if (!isUpdate(resource)) {
      return send(resource, options);
    }
    if (isUnseen(body)) {
      return Promise.resolve(new Response(null, { status: 204 }));
    }
    const counts = !isTick(body);
    working += counts ? 1 : 0;
    const named = { ...options, headers: { ...(options && options.headers), "X-HeadScope-Visit": visit } };
    return ask(resource, named).finally(function () {
      working -= counts ? 1 : 0;
      // What the answer leads to is asked in the next moment.
      window.setTimeout(settle, 30);
    }).then(function (answer) {
      if (alert && answer.status === 413) {
        alert.hidden = false;
      }
      return answer;
    });
  };

  // Long work that this page waits for ends with it; one that the browser keeps for its Back button may come back.
  window.addEventListener("pagehide", function (event) {
    if (visit && !event.persisted) {
      navigator.sendBeacon(window.headscopeAddresses.of("/leave"), visit);
    }
  });

  document.addEventListener("input", function () {
    const alert = place("request-alert");
    if (alert) {
      alert.hidden = true;
    }
  });
  document.addEventListener("click", function (event) {
    if (event.target.closest && event.target.closest("[data-server='retry']")) {
      retry();
    }
  });

  window.setInterval(function () {
    if (!lost && !working && document.visibilityState === "visible") {
      ping().then((there) => there || lose());
    }
  }, PING_MS);
})();
