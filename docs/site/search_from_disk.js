// A page that is opened from disk may start no web worker, in which the theme searches: here the worker is a hidden frame.
if (location.protocol === "file:") {
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = "<!doctype html><title>search</title>";
      this.frame = new Promise((started) => {
        frame.onload = async () => {
          const inside = frame.contentWindow;
          inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          inside.importScripts = async (...urls) => {
            for (const one of urls) await load(inside.document, one);
          };
          await load(inside.document, url);
          started(inside);
        };
      });
      document.body.append(frame);
    }

    postMessage(data) {
      this.frame.then((inside) => inside.dispatchEvent(new inside.MessageEvent("message", { data })));
    }
  };

  function load(page, url) {
    return new Promise((loaded, failed) => {
      const script = Object.assign(page.createElement("script"), { src: url, onload: loaded, onerror: failed });
      page.head.append(script);
    });
  }
}
