// Uploads of an import: each chosen file goes from the browser straight to the object store, with its progress.
(() => {
  const running = new Set();
  let isAnyFinished = false;

  // Where to put the file, as our server says.
  const addressFor = async (form, file) => {
    const body = new FormData();
    body.set("csrfmiddlewaretoken", form.querySelector("[name=csrfmiddlewaretoken]").value);
    body.set("place", form.dataset.place);
    body.set("name", file.name);
    body.set("size", String(file.size));
    let answer;
    try {
      answer = await fetch(form.dataset.address, { method: "POST", body, credentials: "same-origin" });
    } catch {
      throw new Error("The server cannot be reached. Check the connection, and try again.");
    }
    if (answer.redirected) throw new Error("You are not logged in any more. Load the page again, and log in.");
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(told.message || `The server answered ${answer.status}. Load the page again.`);
    return told.url;
  };

  const put = (url, file, { onProgress, onRequest }) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      onRequest(request);
      request.upload.addEventListener("progress", (event) => onProgress(event.loaded));
      request.addEventListener("load", () => {
        if (request.status >= 200 && request.status < 300) resolve();
        else if (request.status === 403) {
          reject(new Error("The object store refuses the file: its address has expired, or the clocks differ. Try again."));
        } else if (request.status === 507) reject(new Error("The object store has no room. Ask who runs it, and try again."));
        else reject(new Error(`The object store answered ${request.status}. Try again; if it stays so, see its log.`));
      });
      request.addEventListener("error", () =>
        reject(
          new Error(
            `The object store at ${new URL(url).origin} cannot be reached, or does not take files from this page. Check the ` +
              "connection and try again; if it stays so, S3_PUBLIC_ENDPOINT and the store's CORS rules are to be checked."
          )
        )
      );
      request.addEventListener("abort", () => reject(new DOMException("cancelled", "AbortError")));
      request.open("PUT", url);
      request.send(file);
    });

  const shown = (bytes) => {
    const units = ["bytes", "KB", "MB", "GB"];
    let at = 0;
    let value = bytes;
    while (value >= 1024 && at < units.length - 1) { value /= 1024; at += 1; }
    return `${at ? value.toFixed(1) : value} ${units[at]}`;
  };

  const connect = (form) => {
    const input = form.querySelector("input[type=file]");
    const bar = form.querySelector("progress");
    const transfer = form.querySelector(".transfer");
    const status = form.querySelector("[data-status]");
    const cancel = form.querySelector("[data-cancel]");
    const retry = form.querySelector("[data-retry]");
    let request = null;

    const say = (text, isError = false) => {
      status.textContent = text;
      status.classList.toggle("error", isError);
    };

    const begin = async () => {
      const file = input.files[0];
      if (!file || running.has(form)) return;
      retry.hidden = true;
      if (!file.size) return say("The file is empty. Choose another.", true);
      if (file.size > Number(form.dataset.mostBytes)) {
        return say(`The file has more than ${Number(form.dataset.mostBytes).toLocaleString("en")} bytes. Split it into several splits' files.`, true);
      }
      running.add(form);
      let tenths = 0;
      let isCancelled = false;
      cancel.onclick = () => { isCancelled = true; request?.abort(); };
      transfer.hidden = cancel.hidden = false;
      input.disabled = true;
      bar.value = 0;
      bar.max = file.size;
      say(`Uploading ${file.name}, ${shown(file.size)} …`);
      try {
        const url = await addressFor(form, file);
        if (isCancelled) throw new DOMException("cancelled", "AbortError");
        await put(url, file, {
          onRequest: (made) => { request = made; },
          onProgress: (loaded) => {
            bar.value = loaded;
            // Said aloud by tenths, not by packets.
            const now = Math.floor((10 * loaded) / file.size);
            if (now === tenths) return;
            tenths = now;
            say(`${now * 10} % of ${shown(file.size)} uploaded`);
          },
        });
        running.delete(form);
        say(`${file.name} is uploaded.`);
        cancel.hidden = true;
        isAnyFinished = true;
        // The page knows what can be done now; what still runs beside this would be lost.
        if (!running.size) location.reload();
      } catch (error) {
        running.delete(form);
        cancel.hidden = transfer.hidden = true;
        retry.hidden = false;
        input.disabled = false;
        if (error.name === "AbortError") {
          say("The upload is cancelled. Nothing of it is kept.");
          if (isAnyFinished && !running.size) location.reload();
        }
        else say(error.message, true);
        retry.focus();
      }
      return undefined;
    };

    input.addEventListener("change", begin);
    retry.addEventListener("click", begin);
    form.addEventListener("submit", (event) => { event.preventDefault(); begin(); });
  };

  document.querySelectorAll("form[data-upload]").forEach(connect);
  addEventListener("beforeunload", (event) => { if (running.size) event.preventDefault(); });
})();
