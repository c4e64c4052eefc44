// A function in Go: fetches events from the Lambda Runtime API and posts the answers.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

func handle(event map[string]any) (any, error) {
	fmt.Println("called with", len(event), "members")
	return map[string]any{"hello": event["name"]}, nil
}

func main() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(base + "next")
		if err != nil {
			os.Exit(1)
		}
		body, _ := io.ReadAll(next.Body)
		next.Body.Close()
		url := base + next.Header.Get("Lambda-Runtime-Aws-Request-Id")
		var event map[string]any
		var answer any
		if err = json.Unmarshal(body, &event); err == nil {
			answer, err = handle(event)
		}
		if err != nil {
			answer = map[string]string{"errorType": "Error", "errorMessage": err.Error()}
			url += "/error"
		} else {
			url += "/response"
		}
		text, _ := json.Marshal(answer)
		if done, err := http.Post(url, "application/json", bytes.NewReader(text)); err == nil {
			done.Body.Close()
		}
	}
}
